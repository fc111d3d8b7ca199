"""The memory of this process, for clients that look for a leak."""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path
from typing import Any


def memory(*, held: int, limit: int | None) -> dict[str, Any]:
    """Return the memory use of this process and its ``held`` parsed certificates, of at most ``limit`` (None: no
    limit).

    ``process`` tells the workers apart, since each worker has its own cache.
    """
    return {"held": held, "limit": limit, "rss_bytes": _resident_bytes(), "process": os.getpid()}


def _resident_bytes() -> int:
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    except OSError:
        # Not Linux: only the peak is available, in bytes on macOS and in KiB elsewhere.
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
