"""Many prompts at once, each outside any conversation (`map`), and cases with scores on top of that
(`evaluate`)."""
