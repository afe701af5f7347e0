"""The story of one turn: a question is planned, sent, shown as it is answered, and recorded.

    Ask -> plan.plan -> Plan -> Client.stream -> run.TurnRun -> Answer, Turn
                         ^                          |
                         '------ calls.TurnCalls <--'  what the model calls of the notebook

A call is decided (`calling`, `permissions`, the view's question), run (`settling` in a caller that
blocks or awaits, `invoking`, `nesting`), and what it gave goes back with the next request of the
same turn. `keywords` reads a question from Python, `mapping` asks many at once.
"""
