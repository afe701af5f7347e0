"""An answer as JSON of a schema: the wish in the prompt, and values that are really there."""
