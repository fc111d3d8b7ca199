from __future__ import annotations

from pathlib import Path

import pytest

from securecore.testing import Authority
from securecore_client import mutual_tls


@pytest.mark.parametrize("missing", ["certificate", "key", "authorities"])
def test_a_file_that_is_missing_is_named(ca: Authority, tmp_path: Path, missing: str) -> None:
    files = {name: tmp_path / f"{name}.pem" for name in ("certificate", "key", "authorities")}
    issued = ca.certificate_for("alice")
    files["certificate"].write_text(issued.pem)
    files["key"].write_text(issued.key_pem)
    files["authorities"].write_text(issued.pem)
    mutual_tls(**files)
    files[missing].unlink()
    with pytest.raises(FileNotFoundError, match=f"{missing}.pem"):
        mutual_tls(**files)
