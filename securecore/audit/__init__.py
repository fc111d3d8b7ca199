"""The audit: an append-only table of each change of state that concerns security, and refusals counted by minute.

``write`` inserts a row in the transaction of the change, so both commit or neither does. ``chain`` seals the rows.
The actor of a row comes from ``acting``, which ``http``, the commands and the admin call.
"""

from securecore.actors import Actor, acting, operator
from securecore.audit.chain import Head, count_expired, delete_in_batches, head, oldest_expiry, seal, verify
from securecore.audit.record import accompanied, report, write
from securecore.audit.refusals import refusal_counts

__all__ = ["Actor", "acting", "head", "operator", "seal", "verify", "write"]
