"""Five attacks on both services, over the network and with real certificates.

client    a client of one of the two services
replay    sends the same request again
tokens    uses a token after its end, under another certificate, in a URL
fixation  uses a session id that the attacker knows
race      uses a permission while it is revoked
memory    presents many certificates that the service has never seen
report    runs all attacks on both services, and gives the verdict

An attack is one function. The same code attacks both services, which differ only in the prefix of a path, and yields
probes. An attack that cannot be carried out raises ``NotJudged``, since an attack that did not happen proves nothing.
"""
