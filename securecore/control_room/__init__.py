"""The control room: one page of Django's admin with the state of this deployment.

``figures`` reads the database, in bounded statements; ``refusals``, ``certificates`` and ``gate_waits`` hold the
statements of one subject each. ``findings`` chooses the sentences at the top of the page, ``charts`` draws. ``page``
registers the page. The templates are in ``templates/securecore/control_room``.

Note [Bounded]
    An operator opens the page in a bad night, when the tables are at their largest. So each statement reads a bounded
    number of rows by an index, and a count beyond its bound is shown as "more than 1,000".
"""
