"""Mends a failed cell by rules, where an exception leaves little doubt about what was meant."""
