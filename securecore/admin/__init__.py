"""The pages of Django's admin for an operator: to see each record, and to change it by the functions of the API.

One file for each subject, and these for all of them: ``pages`` (the base of a page), ``operations`` and
``operation_pages`` (an operation, its confirmation and its report), ``history`` (audit and log of actions in the
transaction of the change), ``bounded_lists`` (lists beside ten million rows), ``search``, ``filters``, ``columns`` and
``forms``. Django imports this package where ``django.contrib.admin`` is installed.
"""

import securecore.admin.audit
import securecore.admin.certificates
import securecore.admin.clients
import securecore.admin.grants
import securecore.admin.keys
import securecore.admin.lockouts
import securecore.admin.revocation_lists
import securecore.admin.sessions
import securecore.admin.tokens
import securecore.control_room.page
