"""How gunicorn stands behind nginx: for the protected service and, with other numbers, for its twin.

The socket's address, the number of workers and of threads come from the command line (see stack.py).
"""

from __future__ import annotations

# Whoever can connect to the socket can claim any certificate, so only the account that runs nginx may: the socket
# is made with mode 0700.
umask = 0o077

worker_class = "gthread"
workers = 2
# 16 requests at a time. Each thread keeps a database connection of its own, and each may wait for a lock.
threads = 8

# X_SSL_Client_Verify and X-SSL-Client-Verify become one WSGI variable. A name with an underscore is dropped.
header_map = "drop"
# By default SCRIPT_NAME and PATH_INFO are exempt from that when the peer is trusted, and a unix socket always is. A
# client that sets them moves itself to another route than the one nginx saw.
forwarder_headers = ""
# Nobody but the unix socket's peer says which scheme a request came by.
forwarded_allow_ips = ""
secure_scheme_headers = {"X-FORWARDED-PROTO": "https"}

# The application refuses a certificate above 16 KiB itself, with an event, so gunicorn lets it see twice that. Only
# nginx can send one so long: it takes 16 KiB from a client.
limit_request_field_size = 32 * 1024
limit_request_fields = 64
limit_request_line = 8190

# A worker silent for 30 s is killed: 15 times the longest wait for a lock.
timeout = 30
# What a stop or reload leaves to the requests under way.
graceful_timeout = 5
# nginx opens one connection a request.
keepalive = 0

# A socket that adds and stops workers, made by default in the home directory.
control_socket_disable = True

# Requests are logged by nginx, without their query strings. Events and errors go to standard error.
accesslog = None
errorlog = "-"
loglevel = "info"
# No max_requests: a worker that is replaced hides the memory it leaks.
