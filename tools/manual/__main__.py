from __future__ import annotations

import shutil
import subprocess
import sys

from tools.manual import for_models
from tools.manual.staging import ROOT, stage

SOURCE, SITE = ROOT / "var" / "manual" / "source", ROOT / "var" / "manual" / "site"


def main() -> int:
    """Build the site anew. Return Sphinx's exit code: 1 for each warning, for example a dead link."""
    stage(SOURCE)
    for_models.write(SOURCE)
    shutil.rmtree(SITE, ignore_errors=True)
    options = ["-q", "-W", "--keep-going", "-b", "html", "-d", str(SITE.parent / "doctrees")]
    built = subprocess.run([sys.executable, "-m", "sphinx", *options, str(SOURCE), str(SITE)], check=False)
    print(f"{SITE.relative_to(ROOT)}/index.html")
    return built.returncode


if __name__ == "__main__":
    raise SystemExit(main())
