"""An exception told to a model: its cell, its traceback, the values that it names, no secrets.

Read in order: masking (what is a secret, also in a source, and texts without any), places (where it
came by, and the values that failing lines name), report (the whole).
"""
