"""The security layer behind mutual TLS: five things that a client certificate does not say.

A map of the package, from the bottom up. Imports point down only (contracts in pyproject.toml).

==================  ================================================================
``clock``           the one place that reads the clock
``digests``         what is stored instead of secrets and unique values
``errors``          every refusal, by its stable code
``conf``            the one door to settings: ``SECURECORE = {...}``
``db``              claim by insert, conditional update, gate waits, bounded delete
``events``          every notable thing by name, with its payload
``identity``        whose certificate is this, and is it still wanted
``sessions``        issued, bound, rotated, ended: a Django ``SESSION_ENGINE``
``tokens``          access tokens: issued, verified, revoked
``replay``          a timestamp and a nonce, accepted once
``idempotency``     one effect a key
``grants``          may this principal, now: a check that holds until the commit
``access``          what one request needs to know, read in one statement
``revocation``      the actions that span features, one transaction each
``purge``           what expires, deleted in bounded batches
``http``            the only code that sees a request
``checks``          system checks, one function an id
``scan``            a black-box scanner: knows nothing of the rest, and needs no Django
==================  ================================================================
"""

__version__ = "0.1.0"
