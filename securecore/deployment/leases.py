"""The trial of the leases: all processes have one ``LEASE_MS``. No process can see the settings of another."""

from __future__ import annotations

from securecore.conf import settings
from securecore.deployment.concurrent_connections import ConcurrentConnections
from securecore.deployment.trials import Trial, Verdict, not_provable


def lease_trial(connections: ConcurrentConnections) -> Verdict:
    """A process with a longer lease than the revoking process uses a revoked answer after the revocation returned."""
    return not_provable(f"LEASE_MS={settings.LEASE_MS} here; compare lease_ms of --json on every host")


TRIALS = (Trial("P701", "Every process has the same lease", lease_trial),)
