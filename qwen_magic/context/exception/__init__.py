"""An exception told to a model: its cell, its traceback, the values that it names, no secrets.

Read in order: source_literals (secrets that are written into a source), masking (what is a secret,
and texts without any), places (where it came by, and the values that failing lines name), report
(the whole).
"""
