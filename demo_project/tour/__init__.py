"""Five attacks on both services, over the wire and with real certificates.

client    a client of one of the two services
replay    the same request again
tokens    a token after its end, by somebody else, in a URL
fixation  a session id that somebody else knows
race      a permission that was revoked while it was used
memory    a certificate nobody saw before, and another, and another
report    all of it on both services, and the verdict

An attack is one function. It runs the same code against both services, which differ only in a path's prefix, and yields
probes. It raises ``NotJudged`` when it could not find out: an attack that did not really happen proves nothing.
"""
