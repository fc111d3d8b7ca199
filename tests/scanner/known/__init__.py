"""Known answers: services with the findings that a scan must report, in a weak and in a mended form.

``expected.toml`` was written before the first scan of each service.
"""
