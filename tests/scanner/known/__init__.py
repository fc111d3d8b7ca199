"""Known answers: services with the findings that a scan must report, in a weak and in a mended form.

``expected.toml`` says when the expected findings of each service were written down.
"""
