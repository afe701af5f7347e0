"""Data of the notebook in a prompt: what the model is told of a value, and its rows when asked.

Read in order: frames (any table as one of pandas, what of it is kept back), columns (schema and
statistics), encoding and rebuilding (cells to text and back), row_block (the block of Python that
carries them), describing (the whole). Nothing here imports pandas until a table comes.
"""
