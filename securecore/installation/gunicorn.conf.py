"""gunicorn's configuration behind nginx.

``manage.py securecore_init`` copies this file, and writes the socket, its group and the application at the end of the
copy.
"""

from __future__ import annotations

import grp
import os
import shutil
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

# A process that can connect to the socket can claim any certificate. So gunicorn creates the socket with mode 0700, for
# its own account.
umask = 0o077
# The group of nginx's workers, where nginx runs under another account. Every process of the group can connect, and so
# claim any certificate: no other program may run in it.
SOCKET_GROUP = ""


#: The folder of a project that sets the variable itself stays as it is.
_COUNTS = "PROMETHEUS_MULTIPROC_DIR"
_has_own_folder = _COUNTS not in os.environ and find_spec("prometheus_client") is not None


def on_starting(server: Any) -> None:
    """Create the folder of each unix socket, which is gone after a reboot where it lies in /run.

    Create a new folder for the counts of the workers too. Without it /metrics has those of one worker at random.
    """
    if _has_own_folder:
        os.environ[_COUNTS] = tempfile.mkdtemp(prefix="securecore-metrics-")
    for address in server.cfg.address:
        if isinstance(address, str):
            Path(address).parent.mkdir(mode=0o755, parents=True, exist_ok=True)


def when_ready(server: Any) -> None:
    """Open each unix socket to ``SOCKET_GROUP``. A socket of systemd belongs to the group already."""
    if not SOCKET_GROUP:
        return
    group = grp.getgrnam(SOCKET_GROUP).gr_gid
    for listener in server.LISTENERS:
        path = listener.getsockname()
        if isinstance(path, str) and os.stat(path).st_gid != group:
            # Fails where the account of gunicorn is no member of the group: usermod -aG GROUP ACCOUNT.
            os.chown(path, -1, group)
            os.chmod(path, 0o660)


def child_exit(server: Any, worker: Any) -> None:
    """Forget the gauges of a worker that has ended. Its counts stay."""
    if os.environ.get(_COUNTS):
        from prometheus_client import multiprocess

        multiprocess.mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]


def on_exit(server: Any) -> None:
    """Delete the folder of the counts."""
    if _has_own_folder and (folder := os.environ.get(_COUNTS)):
        shutil.rmtree(folder, ignore_errors=True)


worker_class = "gthread"
workers = 2
# 16 requests at a time. Each thread keeps its own database connection, and each may wait for a lock.
threads = 8

# X_SSL_Client_Verify and X-SSL-Client-Verify become one WSGI variable. So a name with an underscore is dropped.
header_map = "drop"
# By default gunicorn exempts SCRIPT_NAME and PATH_INFO from this rule for a trusted peer, and a unix socket is always
# trusted. A client could send them and reach another route than the one nginx saw.
forwarder_headers = ""
# Only the peer of the unix socket may name the scheme of the request.
forwarded_allow_ips = ""
secure_scheme_headers = {"X-FORWARDED-PROTO": "https"}

# The application itself refuses a certificate above 16 KiB, with an event, so gunicorn accepts twice that. Only nginx
# can send a header of that length, since nginx accepts at most 16 KiB from a client.
limit_request_field_size = 32 * 1024
limit_request_fields = 64
limit_request_line = 8190

# gunicorn kills a worker that is silent for 30 s: 15 times the longest wait for a lock.
timeout = 30
# Seconds that running requests get at a stop or reload.
graceful_timeout = 5
# nginx opens one connection for each request.
keepalive = 0

# No control socket, which could add and stop workers. By default gunicorn creates one in the home directory.
control_socket_disable = True

# nginx logs the requests, without their query strings. Events and errors go to standard error.
accesslog = None
errorlog = "-"
loglevel = "info"
# No max_requests: replacing workers would hide a memory leak.
