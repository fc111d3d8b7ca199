"""Starts the known services that are programs of their own. A missing program skips its scan, and is named."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.scanner.conftest import ROOT, Peer

#: Services with open registration: their scan needs no login.
OPEN = ("express", "vampi")
EXPRESS = ROOT / "tests" / "scanner" / "peers" / "express"
#: A checkout of github.com/erev0s/VAmPI, and a Python that has its requirements.
VAMPI, VAMPI_PYTHON = (os.environ.get(name, "") for name in ("SECURECORE_SCAN_VAMPI", "SECURECORE_SCAN_VAMPI_PYTHON"))
#: Without the address of all interfaces and the debugger, which its own main program names.
_RUN_VAMPI = "import os, config; config.vuln_app.run(host='127.0.0.1', port=int(os.environ['PORT']))"

StartService = Callable[..., Peer]


def start(service: str, form: str, start_service: StartService) -> Peer:
    """Start a service in its weak or mended form."""
    return {"fastapi_jose": _fastapi, "express": _express, "vampi": _vampi}.get(service, _django)(
        service, form, start_service
    )


def _django(service: str, form: str, start_service: StartService) -> Peer:
    gunicorn = [sys.executable, "-m", "gunicorn", "--preload", "-k", "gthread", "--threads", "16", "--keep-alive", "5"]
    command = [*gunicorn, "-b", "127.0.0.1:{port}", f"tests.scanner.peers.known_{service}:application"]
    return start_service(service, command, PEER_FORM=form)


def _fastapi(service: str, form: str, start_service: StartService) -> Peer:
    for package in ("fastapi", "jose", "multipart", "uvicorn"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    command = [sys.executable, "-m", "uvicorn", "--port", "{port}", f"tests.scanner.peers.known_{service}:app"]
    return start_service(service, command, PEER_FORM=form)


def _express(service: str, form: str, start_service: StartService) -> Peer:
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not on PATH")
    folder = ROOT / "var" / "known" / "express"
    shutil.copytree(EXPRESS, folder, dirs_exist_ok=True)
    quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock", "--silent"]
    subprocess.run(["npm", "install", *quiet], cwd=folder, check=True, timeout=600)
    return start_service(service, ["node", "server.js"], cwd=folder, PEER_FORM=form)


def _vampi(service: str, form: str, start_service: StartService) -> Peer:
    if not VAMPI:
        pytest.skip("no VAmPI: make known-answers VAMPI=<a checkout of github.com/erev0s/VAmPI>")
    # VAmPI writes its database beside its code, which stays as it is.
    folder = ROOT / "var" / "known" / "vampi"
    shutil.copytree(Path(VAMPI), folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".git"))
    vulnerable = "1" if form == "weak" else "0"
    peer = start_service(service, [VAMPI_PYTHON, "-c", _RUN_VAMPI], cwd=folder, vulnerable=vulnerable)
    httpx.get(f"{peer.url}/createdb").raise_for_status()
    return peer
