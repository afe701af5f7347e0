"""Blocks that are still arriving, each by the cheapest step its kind allows.

A grower takes the lines of its block in order and settles HTML through a `Writer`; the line that
has only begun is shown as the tail. Whether a block has really ended, and what it then looks like
to the letter, is for a whole parse to say (`stream`): a grower may be wrong about odd cases while
it is open, never for good.
"""
