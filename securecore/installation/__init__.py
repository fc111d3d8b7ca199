"""Write the files that a deployment needs, and the settings that a project pastes (``manage.py securecore_init``).

``project`` has the facts of the project, ``plan`` the files, ``settings_block`` the settings, ``certificates`` the
authority for development. The files themselves are in ``nginx``, in ``systemd`` and beside this module, with names
between two ``@`` for the facts of a project. docs/quickstart.md shows all of it at work.
"""
