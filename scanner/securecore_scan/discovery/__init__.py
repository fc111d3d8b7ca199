"""Finds the way from a URL to the first verdict.

document       reads the OpenAPI document
yaml_document  reads a document in YAML
routes         finds login, token and other routes in the document, or at the paths that common packages use
bodies         makes request bodies from schemas and examples
accounts       registers canary accounts, logs in, and finds a route that demands the token
canaries       finds routes that create something, and the objects that they create
object_routes  finds the routes of single objects and accounts
planned        writes the result as a plan, with the entries that are missing

Documents and routes are read by GET and OPTIONS only. Accounts and canaries change data: each change is announced
before it is made, and --read-only leaves them out.
"""

from __future__ import annotations

import dataclasses

from securecore_scan.client.target import Target
from securecore_scan.discovery import accounts, canaries, document, object_routes, routes
from securecore_scan.plan import Plan


def complete(target: Target, openapi: str | None) -> Plan:
    """Return the plan with missing entries filled in, and list the routes that were found in ``target.routes``."""
    found = document.read(target, openapi or target.plan.openapi)
    target.operations = tuple(document.operations(found, target.transport.prefix))
    is_planned = target.plan.tokens.request is not None or target.plan.session.login is not None
    target.plan = routes.complete(target)
    target.plan = accounts.complete(target, is_planned=is_planned)
    if not target.transport.is_read_only:
        effects, objects = canaries.find(target)
        plan = target.plan
        has_accounts = plan.registration and target.authorizer
        account = object_routes.account_route(target, objects) if has_accounts else None
        target.plan = dataclasses.replace(
            plan,
            effect=plan.effect or effects,
            object=plan.object or objects,
            account_route=plan.account_route or account,
        )
    target.unreached = tuple(object_routes.unreached(target))
    return target.plan
