"""The permission query: the SQL that reads the state and the grants of a caller behind the gate.

``caller_state`` has the statement and its result. ``effective`` has the part that reads the grants, also for the one
query. ``auth_tables`` has the fragments about the tables of ``django.contrib.auth``.
"""
