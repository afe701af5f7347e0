"""Many prompts at once, each outside any conversation (`map`); `asker.Asker` is one prompt's share
of that, for other schedulers."""
