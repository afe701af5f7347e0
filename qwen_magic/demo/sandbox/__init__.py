"""Runs Python apart: a subprocess with limits, in a folder of its own, without network."""
