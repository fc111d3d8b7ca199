"""The promises that a deployment can break, each tried with real connections (``manage.py securecore_prove``).

A database, pooler or cache can accept every statement of securecore and keep no promise. Example: an engine that
accepts advisory locks and ignores them. So a trial uses the features as a request does, with several connections at
once, against the settings in force. ``trials`` has the interface, ``prove`` the list and the order, and each other
module the trials of one subject. A trial leaves no row behind. docs/prove.md has a section for each id.
"""
