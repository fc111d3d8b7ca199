"""Build the manual as a site: ``make docs``, without a network at the build and in the browser.

    python -m tools.manual               # writes var/manual/site; open index.html

``staging`` copies docs/ and the pages beside it into one folder, with links that work in a site. Sphinx with MyST and
Furo builds the site, and fails on each warning. ``for_models`` writes llms.txt. The pages themselves stay plain
Markdown, readable where the repository is.
"""
