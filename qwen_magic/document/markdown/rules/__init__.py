"""Blocks that are still arriving: a renderer for each kind, by the cheapest step it allows."""
