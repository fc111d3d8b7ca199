from __future__ import annotations

from django.core.checks import CheckMessage, Warning

from securecore import conf

_LONGEST_LEASE = 1_000


def w701_short_leases(**_: object) -> list[CheckMessage]:
    """Whoever revokes, and whoever logs out, waits as long as a lease may live."""
    if conf.settings.LEASE_MS <= _LONGEST_LEASE:
        return []
    return [
        Warning(
            f"Every revocation and every logout takes {conf.settings.LEASE_MS / 1000:g} s longer.",
            hint="Set SECURECORE['LEASE_MS'] to 250 or less: a busy client's cost is saved there already.",
            id="securecore.W701",
        )
    ]


CHECKS = (w701_short_leases,)
