"""The magics: reading what was typed, completing it, showing what came of it."""
