"""A black-box scanner for HTTP APIs, behind mutual TLS or with bearer tokens.

The scanner attacks one service from outside and reports each attack as PASS, FAIL, INCONCLUSIVE, SKIPPED, NOT
APPLICABLE or ERROR. It imports neither Django nor securecore, so the service may be written in any language.

    securecore-scan https://localhost:8443 --cert alice.pem --key alice.key --ca ca.pem --plan plan.toml

From the command line down to the socket:

================  ======================================================================
``cli``           the command line
``options``       turns the options into a target, a list of checks and a command to repeat a check
``scan``          one scan: discovery, checks, baseline, report, exit code
``runner``        runs the checks in order; an error in one check does not end the next
``discovery``     finds the way from a URL to the first verdict, and writes it as a plan
``announcement``  says which data a scan changes, before the scan changes them
``comparison``    compares two reports
``probes``        the attacks, one subject a file
``client``        requests, tokens, sessions and certificates: everything that an attack sends
``plan``          the routes and certificates that cannot be guessed; ``planfile`` reads them from TOML
``templates``     fills ``{canary}``, ``{key}`` and other placeholders into the requests of the plan
``checks``        Check: one attack, with its severity, references and remedy
``outcomes``      Outcome: the result of one attack on one route
``results``       Report: all results of a scan, with scores and a grade
``baseline``      findings that are accepted, each with a reason and an expiry date
``report``        text, JSON, SARIF, JUnit, HTML and Markdown
``redaction``     removes tokens, cookies and passwords from reports
``scope``         which hosts may be scanned
``budget``        how many requests and seconds a scan may take, and when the scan stops early
``rates``         confidence intervals for counts, such as 0 of 3 rounds
``growth``        tells a memory leak from a cache that fills up
================  ======================================================================
"""
