from __future__ import annotations

import sys

from securecore_scan.cli import main

if __name__ == "__main__":
    sys.exit(main())
