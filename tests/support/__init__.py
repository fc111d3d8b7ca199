"""Fixtures, servers and certificates that several test folders use."""
