"""A black-box scanner: attack your own API in the five ways, over the wire, and say plainly what happened.

It is a program of its own: it imports nothing else of securecore and no Django, and scans any service.

    python -m securecore_scan https://localhost:8443 --cert alice.pem --key alice.key --ca ca.pem --plan plan.toml

==============  ======================================================================
``cli``         arguments, and the exit code
``plan``        what cannot be guessed, and ``planfile``, the TOML file that says it
``discovery``   what can be: the OpenAPI document, else common paths
``client``      what an honest client does: requests, tokens, sessions, effects
``limits``      how much is sent, where to, and when to stop
``secrets``     what was seen and must never be told
``verdict``     what a check is, and what it can find
``estimates``   what rounds and slopes say, and what they do not
``probes``      the attacks, one subject a file
``runner``      all of it, in order
``baseline``    findings that were accepted, for a reason and until a day
``report``      text, JSON, SARIF, JUnit, HTML
==============  ======================================================================
"""
