"""A process that claims one key in the replay cache, started by ``replay_cache`` with the settings on its stdin."""

from __future__ import annotations

import pickle
import sys

from django.conf import settings  # noqa: TID251  this process has no settings module
from django.core.cache import caches


def main() -> None:
    """Read the settings, say that this process is ready, wait for a line, claim, and print the result."""
    configured, alias, key, seconds = pickle.load(sys.stdin.buffer)  # noqa: S301  the parent process wrote it
    settings.configure(**configured)
    cache = caches[alias]
    cache.get(key)  # connect
    print("ready", flush=True)  # noqa: T201
    sys.stdin.buffer.readline()
    print(cache.add(key, 1, timeout=seconds) is True, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
