"""The security layer behind mutual TLS, for the five questions that a client certificate leaves open.

Is this request new? Is this token live? Did the server issue this session id? Does this permission hold when the effect
commits? Is every table and cache bounded? Below is a map of the package, from the bottom up: each module imports only
modules above its own line (contracts in pyproject.toml).

===============  ==============================================================================
``clock``        the one module that reads the clock
``digests``      digests in place of secrets and unique values
``errors``       every refusal with its stable code
``caches``       memory that is bounded in number and time
``actors``       the user or operator behind the running code
``meters``       the places at which securecore measures itself
``json_logs``    log lines of JSON with the request id and the actor
``texts``        text from outside: storable, and shown in a terminal, a log or an error
``durations``    the check of a duration in seconds
``settings``     the order of MIDDLEWARE, and other lists of a project's settings module
``conf``         the settings: ``SECURECORE = {...}``
``database``     transactions, lock waits that end, claims, functions of PostgreSQL
``events``       named records of notable facts, each with its payload
``leases``       the time in which a result is used again, and which a revocation outlasts
``audit``        a row for each change, in its transaction; the hash chain over the rows
``observe``      let a protection record that it would refuse
``identity``     the user and the revocation of a certificate
``sessions``     issue, bind, rotate and end sessions: a Django ``SESSION_ENGINE``
``tokens``       issue, verify and revoke access and refresh tokens
``replay``       accept a nonce, a DPoP proof, a message signature once
``idempotency``  one effect for each idempotency key
``grants``       permissions: a check that holds until the effect has committed
``last_runs``    the last run of the purge, and the last verdict of each trial
``models``       every model, for Django
``caller``       the one query of a request, and the one caller of its credentials
``revocation``   the revocations that span features, one transaction each
``purge``        delete expired rows in bounded batches
``incidents``    the first steps after a theft or a restored backup, and the trail
``metrics``      metrics for Prometheus, spans for OpenTelemetry
``http``         the only code that sees a request
``deployment``   the promises that a deployment can break, each tried with real connections
``control_room`` the page of the admin with the state of this deployment
``installation`` the files of a deployment: nginx, gunicorn, systemd, keys, certificates
``checks``       system checks, one function for each id
``management``   the commands of ``manage.py``
``admin``        the pages of Django's admin
``urls``         the URLs of the token and session endpoints
``apps``         the setup when Django starts
===============  ==============================================================================

The rooms of ``http`` are ``authorization`` (permissions and effects of a view), ``edge`` (proxy and certificate, body,
sources), ``freshness`` (replay), ``idempotency``, ``oauth`` (the token endpoints) and ``sessions`` (login, binding,
exposure).
"""

__version__ = "0.1.0"
