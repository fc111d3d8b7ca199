"""Write the pages of docs/reference from the code: checks, commands, events, interface and problems.

    python -m tools.reference            # write the pages
    python -m tools.reference --check    # exit code 1 if a page is out of date

A module for each page. ``problems.toml`` has for each code of a refusal the place where an operator looks and the
remedy, which no program knows. tests/structure/test_reference.py compares the pages with the code.
"""
