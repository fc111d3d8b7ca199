"""Everything that an attack sends: requests, tokens, sessions, certificates.

request           a request with all values filled in
transport         sends requests over mutual TLS, one by one
races             sends requests that arrive together, in rounds, by each way that the port allows
single_packet     completes several HTTP/2 requests with one packet
last_byte         completes several requests at once, each over a connection of its own
responses         reads status and JSON of a response
target            the service under test, with its plan and cached answers
operations        the operations of an OpenAPI document
objects           creates objects as one user, and reads, changes and deletes them as another
canary_accounts   opens accounts for one attack
effects           sends canary requests and counts their effects
load              repeats one effect in several threads
tokens            requests, uses, refreshes and revokes tokens
jws               forges JWTs and signs DPoP proofs
signing_secrets   tests a token against common secrets
sessions          logs in and out, and reads the caller's name
certificates      issues client certificates
memory            reads the memory of the service
tls               makes single TLS handshakes
resumption        sends single requests over resumed TLS sessions
lost_response     sends a request and hangs up without reading the response
early_data        sends a request as TLS early data
key_exchange      asks a port for one key exchange group
"""
