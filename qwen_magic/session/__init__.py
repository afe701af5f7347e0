"""The story of one turn: a question is planned, sent, shown as it is answered, and recorded.

    Ask -> plan.plan -> Plan -> turn.TurnMachine -> Answer, Turn
                                  ^  Open, Invoke, Approve, Wait
                                  v
                        session.Session: run, arun, events; ask and aask for a whole question

The machine decides, without input and output; the session's shells do what it asks for. What the
model calls of the notebook is decided in `tools.loop` and run in `tools.execution`.
"""
