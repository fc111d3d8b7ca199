"""The security layer behind mutual TLS: five things that a client certificate does not say.

A map of the package, from the bottom up. Imports point down only (contracts in pyproject.toml).

======================  ============================================================================
``clock``               the one place that reads the clock
``digests``             what is stored instead of secrets and unique values
``errors``              every refusal, by its stable code
``caches``              memory that is bounded in number and time
``content_digest``      what a body hashes to (RFC 9530)
``message_signatures``  what is signed, and how each key signs it (RFC 9421)
``client``              for callers: proofs and safe retries, without Django
``conf``                the one door to settings: ``SECURECORE = {...}``
``db``                  transactions that are what their caller believes, and waits that end
``rows``                claim by insert, conditional update, delete in batches
``prepared``            statements that are the same for every request
``plans``               how psycopg 3 runs them
``leases``              an answer may be used again for a moment, and revocations wait for it
``events``              every notable thing by name, with its payload
``identity``            whose certificate is this, and is it still wanted
``sessions``            issued, bound, rotated, ended: a Django ``SESSION_ENGINE``
``tokens``              access tokens: issued, verified, revoked
``replay``              a nonce, a DPoP proof, a signature: accepted once
``idempotency``         one effect a key
``grants``              may this principal, now: a check that holds until the commit
``access``              what one request needs to know, read in one statement
``revocation``          the actions that span features, one transaction each
``purge``               what expires, deleted in bounded batches
``http``                the only code that sees a request
``checks``              system checks, one function an id
======================  ============================================================================
"""

__version__ = "0.1.0"
