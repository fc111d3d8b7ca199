"""gunicorn's configuration behind nginx, for the protected service and for the twin.

The socket's address and the numbers of workers and threads come from the command line (see stack.py).
"""

from __future__ import annotations

# A process that can connect to the socket can claim any certificate. So the socket has mode 0700: only the account that
# runs nginx can connect.
umask = 0o077

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
