"""A real browser with a client certificate opens the page of an attacker; its script sends requests.

The browser adds the certificate by itself. The unprotected twin carries the requests out; the service refuses them.
"""

from __future__ import annotations

import contextlib
import http.server
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from demo_project.stack import Stack
from securecore.installation import certificates

PAGE = """<!doctype html><title>You have won</title>
<iframe name="sink"></iframe>
<script>
const service = "{service}", ways = {{
    fetch: url => fetch(url, {{method: "POST", mode: "no-cors", credentials: "include", body: ""}}),
    text: url => fetch(url, {{method: "POST", mode: "no-cors", credentials: "include", body: "{{}}"}}),
    beacon: async url => navigator.sendBeacon(url, new URLSearchParams({{a: 1}})),
    async form(url) {{
        const form = Object.assign(document.createElement("form"), {{method: "post", action: url, target: "sink"}});
        document.body.append(form);
        form.submit();
        // An answer that is shown as a download never loads.
        await new Promise(resolve => setTimeout(resolve, 1000));
    }},
}};
(async () => {{
    for (const [name, go] of Object.entries(ways))
        for (const place of ["", "/vulnerable"])
            await go(`${{service}}${{place}}/auth/login?${{name}}`).catch(error => fetch("/error?" + error));
    // A beacon tells nobody when it has arrived.
    setTimeout(() => fetch("/done"), 1500);
}})();
</script>"""

PREFERENCES = {
    "security.default_personal_cert": "Select Automatically",
    "browser.shell.checkDefaultBrowser": False,
    "browser.aboutwelcome.enabled": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "toolkit.telemetry.reportingpolicy.firstRun": False,
    "app.update.enabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "extensions.systemAddon.update.enabled": False,
    "services.settings.server": "http://127.0.0.1:9",
    "browser.safebrowsing.downloads.remote.enabled": False,
    "dom.security.https_first": False,
}


@dataclass
class Evil:
    """The attacker's site, and the reports of its page."""

    port: int = 0
    done: threading.Event = field(default_factory=threading.Event)
    errors: list[str] = field(default_factory=list)


@pytest.fixture
def evil(stack: Stack) -> Iterator[Evil]:
    site = Evil()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/done":
                site.done.set()
            if self.path.startswith("/error"):
                site.errors.append(self.path)
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(PAGE.format(service=stack.url).encode() if self.path == "/" else b"")

        def log_message(self, *arguments: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        site.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield site
        server.shutdown()


@pytest.fixture
def browse(stack: Stack, tmp_path: Path) -> Iterator[Callable[[str], None]]:
    """`browse(url)` opens the page in a Firefox that has Alice's certificate and uses it without asking."""
    programs = {name: shutil.which(name) for name in ("firefox-esr", "certutil", "pk12util")}
    missing = [name for name, found in programs.items() if found is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed: no browser shows that another site cannot use a certificate")
    profile = tmp_path / "profile"
    profile.mkdir()
    lines = [
        f"user_pref({name!r}, {str(value).lower() if value in (True, False) else repr(value)});"
        for name, value in PREFERENCES.items()
    ]
    (profile / "user.js").write_text("\n".join(lines).replace("'", '"'))
    for command in (
        ["certutil", "-N", "--empty-password"],
        ["certutil", "-A", "-n", "ca", "-t", "CT,C,C", "-i", str(stack.pki / "ca.pem")],
        ["pk12util", "-i", str(stack.pki / "alice.p12"), "-W", certificates.PASSWORD, "-K", ""],
    ):
        subprocess.run([*command, "-d", f"sql:{profile}"], check=True, capture_output=True, timeout=600)
    running: list[subprocess.Popen[bytes]] = []

    def browse(url: str) -> None:
        command = ["firefox-esr", "--headless", "--no-remote", "--profile", str(profile), url]
        environment = {**os.environ, "HOME": str(tmp_path), "MOZ_CRASHREPORTER_DISABLE": "1"}
        with (tmp_path / "firefox.log").open("wb") as log:
            running.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True))

    yield browse
    for browser in running:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(browser.pid, signal.SIGKILL)
        browser.wait()


def logged(stack: Stack) -> dict[tuple[str, str], tuple[int, str]]:
    """Return, for each login in nginx's log, the URL and method, the status, and nginx's verdict on the certificate."""
    lines = (stack.var / "log" / "access.log").read_text().splitlines()
    pattern = re.compile(r'"POST (\S*)/auth/login \S+" (\d+) \d+ verify="(\w+)"')
    found = [match for line in lines if (match := pattern.search(line))]
    return {(match[1], str(number)): (int(match[2]), match[3]) for number, match in enumerate(found)}


def test_another_site_cannot_use_the_certificate(stack: Stack, evil: Evil, browse: Callable[[str], None]) -> None:
    before = len(logged(stack))
    browse(f"http://127.0.0.1:{evil.port}/")
    assert evil.done.wait(60), "the page did not come to its end"
    answers: list[tuple[tuple[str, str], tuple[int, str]]] = []
    deadline = time.monotonic() + 60
    while len(answers) < 8 and time.monotonic() < deadline:  # nginx writes its log after it sends the response
        time.sleep(0.05)
        answers = list(logged(stack).items())[before:]
    protected = [answer for (place, _), answer in answers if place == ""]
    twin = [answer for (place, _), answer in answers if place == "/vulnerable"]
    assert evil.errors == []
    assert protected == [(403, "SUCCESS")] * 4
    assert twin == [(200, "SUCCESS")] * 4
