"""Sphinx's configuration of the manual: Markdown, no network, light and dark."""

from __future__ import annotations

project = "securecore"
html_title = "securecore"
extensions = ["myst_parser", "sphinx_copybutton"]
myst_heading_anchors = 4
html_theme = "furo"
html_copy_source = True
html_show_sourcelink = False
html_theme_options = {"navigation_with_keys": True}
exclude_patterns = ["files"]
html_extra_path = ["llms.txt", "llms-full.txt"]
pygments_style, pygments_dark_style = "a11y-light", "a11y-high-contrast-dark"
# A console line is no program; Markdown's fences name languages that Pygments does not know.
suppress_warnings = ["misc.highlighting_failure"]
