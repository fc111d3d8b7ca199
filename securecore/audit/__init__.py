"""The audit: an append-only table of each change of state that concerns security.

A row is written in the transaction of the change that it describes, so both commit or neither does.
"""

from securecore.actors import Actor, acting, operator

__all__ = ["Actor", "acting", "operator"]
