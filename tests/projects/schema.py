"""A schema class of a project, as drf-spectacular's is: it derives from no class of securecore."""

from __future__ import annotations

from rest_framework.schemas.openapi import AutoSchema


class OwnSchema(AutoSchema):
    pass
