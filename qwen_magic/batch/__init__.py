"""Many prompts at once, each outside any conversation.

    rows -> prompts.read_rows -> a Plan for each
      -> conductor.Conductor, as many at once as pace.Pace allows
      -> answers in kept.KeptAnswers; answers and errors by row in result.MapResult

`mapping.run_map` holds the two threads together: the conductor's loop has one of its own, so that
it works in a cell as in a script, and the caller's thread shows progress and takes the interrupt.
`asker.Asker` is one prompt's share of it, for other schedulers.
"""
