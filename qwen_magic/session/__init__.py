"""The story of one turn: a question is planned, sent, shown as it is answered, and recorded.

Ask -> plan.plan -> Plan -> Client.stream -> run.TurnRun -> Answer, Turn
"""
