"""Conversations outside the store: as a JSON file, as a document, in a notebook's outputs.

Read in order: conversation (the value that travels), schema (the JSON file, described), checked
(reading what nobody vouches for), records (its turns and marks), json_form (the file written, the
file read), metadata and notebook (what a notebook's outputs tell), ancestry (which turn follows
which there), contained and markdown_form (a document to read).

Files are untrusted: sizes are bounded, every error names its place, nothing is evaluated.
"""
