"""An exception told to a model: its cell, its traceback, the values that it names, no secrets.

Read in order: places (where it came by, and what the failing lines name), source_literals (secrets
that are written into a source), masking (what is a secret, and texts without any), named_values
(described), report (the whole).
"""
