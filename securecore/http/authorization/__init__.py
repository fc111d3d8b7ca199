"""The caller of a request, and views that check and act in one transaction.

``header`` parses the Authorization header, ``credentials`` judges each credential and chooses the one that makes the
request, and ``caller`` builds the ``Caller`` from it. The table of that choice is in ``securecore.caller``.

``granted_view`` checks permissions in REST framework views, with ``action_names`` and ``amounts``; ``http.decorators``
does so in other views. ``effects`` rolls the effects of an error response back. The grants and their gate are in
``securecore.grants``.
"""
