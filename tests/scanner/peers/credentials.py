"""The account of every peer."""

from __future__ import annotations

USERNAME, PASSWORD = "alice", "a password that only the tests know"
