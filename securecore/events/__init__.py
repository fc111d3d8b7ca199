"""The events: named records of notable facts, each with a fixed payload.

``changes`` and ``operations`` have the events that the audit stores, ``findings`` the refusals and attacks, and
``emission`` their base.
"""

from securecore.events.changes import (
    AllGrantsRevoked,
    CertificateAdmitted,
    CertificateEnrolled,
    CertificatePending,
    CertificateRevoked,
    ClientDisabled,
    ClientRegistered,
    EverythingRevoked,
    FamilyRevoked,
    GateHolderEnded,
    GrantGiven,
    GrantRevoked,
    GroupMembershipRevoked,
    KeyRetired,
    KeyStored,
    LeaseTakenOver,
    RefreshTokenReused,
    SessionClosed,
    SessionEnded,
    SessionOpened,
    SessionsEnded,
    SignatureKeyRegistered,
    SignatureKeyRevoked,
    TokenRevoked,
    UserDeactivated,
)
from securecore.events.emission import Event, emit, every_event, happened
from securecore.events.findings import (
    CredentialsConflicting,
    DatabaseAway,
    HeaderForged,
    PermissionRefused,
    ProxyAddressUnknown,
    RefreshTokenRefused,
    RequestRefused,
    ServerConfusesHeaders,
    SessionBindingMismatch,
    SessionIdExposed,
    SimpleJWTAccepted,
    TokenInactive,
    WouldRefuse,
)
from securecore.events.operations import BackupRestored, ClientEnabled, LockedOut, LockoutLifted, RevocationListImported
