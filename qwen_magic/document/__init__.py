"""What the reader sees of a turn, as values: no clock, no display, no Jupyter.

    ResponseState -> build.Document -> patches, in batches     (the live view)
                                    -> tree                    (the saved forms, plain text)

Read in order: blocks (what an answer shows), steps and calls (item -> step), links (what may be
followed, and the sources), footer (what a turn is, and how it ended), html (value -> safe HTML),
patches (what travels), tree (the answer), sections (one place in it that grows), groups (neighbours
of a kind), build (the whole). `markdown` renders the model's texts; `extract` reads code and tables
out of them.
"""
