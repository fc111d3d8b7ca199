"""The trial of the proxy's configuration, where the command names one."""

from __future__ import annotations

from functools import partial

from securecore.deployment.concurrent_connections import ConcurrentConnections
from securecore.deployment.trials import Trial, Verdict, broken, kept

try:
    from securecore.deployment import nginx
except ImportError:  # the parser is an extra
    nginx = None  # type: ignore[assignment]


def nginx_trial(path: str, connections: ConcurrentConnections) -> Verdict:
    if nginx is None:
        raise ModuleNotFoundError("this needs a parser: pip install 'securecore[edge]'")
    findings = nginx.check(path)
    if not findings:
        return kept(f"no known trap in {path}")
    return broken("; ".join(f"{finding.code} at {finding.place}" for finding in findings))


def trials(path: str) -> tuple[Trial, ...]:
    """Return the trial of the nginx configuration with this main file."""
    return (Trial("P801", "nginx lets no client forge its identity", partial(nginx_trial, path)),)
