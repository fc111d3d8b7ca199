"""What an honest client does.

wire      requests over mutual TLS, one after another and all at once
target    the service: its plan, its routes, and what is remembered between checks
effects   something that changes, and how many times it did
tokens    tokens asked for, used, refreshed, given back
jws       tokens and proofs made by hand
sessions  logging in and out, and whose session it is
minting   certificates that nobody showed before
memory    what a service, Prometheus or this machine says of its memory
tls       handshakes, looked at for themselves
"""
