"""How much this process holds, to be watched from outside."""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path
from typing import Any


def memory(*, held: int, limit: int | None) -> dict[str, Any]:
    """Describe this process: ``held`` parsed certificates of at most ``limit``, None for no limit, and its memory.

    ``process`` tells the workers apart: each has a cache of its own.
    """
    return {"held": held, "limit": limit, "rss_bytes": _resident_bytes(), "process": os.getpid()}


def _resident_bytes() -> int:
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    except OSError:
        # Not Linux. The peak is what there is, in bytes on macOS and in KiB elsewhere.
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
