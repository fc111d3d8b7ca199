"""The unprotected twin: the same payments, as a typical service offers them behind mutual TLS.

NEVER copy from here. Each weakness has one file, is written the way it is usually written, and is named in its first
line:

views           request replay
tokens          token replay
sessions        session fixation
permissions     authorization race
vouchers        use-limit overrun
certificates    memory leak
authentication  forged identity

The twin shares nginx, the certificates, the money and the database server with the protected service. It does not use
securecore.
"""
