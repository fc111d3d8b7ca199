"""The unprotected twin: the same payments as a typical service offers them behind mutual TLS.

NEVER copy from here. Each weakness has one file, is written the way it is usually written, and says what it is:

views           request replay
tokens          token replay
sessions        session fixation
permissions     authorization race
vouchers        use-limit overrun
certificates    memory leak
authentication  forged identity

nginx, the certificates, the money and the database server are the protected service's; securecore is absent.
"""
