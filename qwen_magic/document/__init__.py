"""What the reader sees of a turn, as values: no clock, no display, no Jupyter.

    ResponseState -> build.Document -> patches, in batches     (the live view)
                                    -> sections                (the saved forms, plain text)

Read in order: facts (what a turn is), blocks (what a step shows), steps and calls (output item ->
step), logs and sources (two kinds of content with a form of their own), notes and footer (how it
ended), html (block -> safe HTML), patches and wire (what travels), tree (what a view has),
sections (one place in it that grows), joins and groups (neighbours of a kind), build (the whole).
"""
