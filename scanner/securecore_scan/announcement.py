"""Says which data of the target a scan changes, before the scan changes them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from securecore_scan.checks import Check
from securecore_scan.client.target import Target


def opening(target: Target, number: int) -> Iterator[str]:
    """Yield the sentences before the first request."""
    transport = target.transport
    budget = transport.budget
    most = f"at most {budget.requests:,} requests in {budget.seconds:.0f} s"
    if transport.is_read_only:
        yield f"reads {transport.origin} with GET, HEAD and OPTIONS only: {number} checks, {most}"
    else:
        yield f"attacks {transport.origin} with {number} checks, {most}, and stops if it answers with errors"


def before_checks(target: Target, checks: Sequence[Check]) -> Iterator[str]:
    """Yield one sentence for each kind of change that the checks make."""
    if target.transport.is_read_only:
        return
    plan, categories = target.plan, {check.category for check in checks}
    if plan.effect and categories & {"request-replay", "idempotency", "authorization-race"}:
        yield f"sends canary requests, some 16 at once: {', '.join(str(one.request) for one in plan.effect)}"
    if plan.object and "object-authorization" in categories:
        yield f"creates, changes and deletes canary objects: {', '.join(str(one.create) for one in plan.object)}"
    if plan.account_route and plan.registration and "object-authorization" in categories:
        yield f"opens canary accounts, changes and deletes them: {plan.registration}"
    if plan.registration and "object-authorization" in categories:
        yield f"opens one more canary account: {plan.registration}"
    if plan.session.login and not target.login_problem and "session-fixation" in categories:
        yield f"logs the owner in and out: {plan.session.login}"
    if plan.tokens.request and "token-replay" in categories:
        yield f"requests and revokes tokens of the owner: {plan.tokens.request}"
    if plan.authorization and "authorization-race" in categories:
        yield f"revokes a permission of the owner and restores it: {plan.authorization.revoke}"
    if plan.revocation and "tls" in categories:
        restored = "and restores it" if plan.revocation.restore else "for good"
        yield f"revokes the certificate {plan.revocation.certificate.cert.name} {restored}: {plan.revocation.revoke}"
    if plan.limit and "authorization-race" in categories:
        yield f"uses up canary objects: {plan.limit.use}"
    if "memory-leak" in categories and (plan.memory.url or plan.memory.prometheus or plan.memory.pid):
        yield "opens some hundred TLS connections and reads the memory of the service"
