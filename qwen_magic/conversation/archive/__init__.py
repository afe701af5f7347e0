"""Conversations outside the store: as a JSON file, as a document, in a notebook's outputs.

Read in order: checked (reading JSON that nobody vouches for), json_form (the file written, the file
read), notebook (what a notebook's outputs tell), markdown_form (a document to read).

Files are untrusted: sizes are bounded, every error names its place, nothing is evaluated.
"""
