"""Many prompts at once, outside any conversation (`map`); cases with scores on top (`evaluate`)."""
