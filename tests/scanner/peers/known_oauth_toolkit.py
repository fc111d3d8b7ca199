"""django-oauth-toolkit with client credentials. PEER_FORM=weak is the package as installed."""

from __future__ import annotations

import os
from typing import Any

from tests.scanner.peers import project
from tests.scanner.peers.credentials import PASSWORD, USERNAME

WEAK = os.environ["PEER_FORM"] == "weak"
project.configure(
    __name__,
    apps=("oauth2_provider", "drf_spectacular"),
    REST_FRAMEWORK={"DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema"},
)

from django.urls import include, path  # noqa: E402
from drf_spectacular.views import SpectacularAPIView  # noqa: E402
from oauth2_provider.contrib.rest_framework import OAuth2Authentication  # noqa: E402
from rest_framework.exceptions import AuthenticationFailed  # noqa: E402

from tests.scanner.peers.whoami import whoami_view  # noqa: E402


class HeaderOnly(OAuth2Authentication):  # type: ignore[misc]
    """Reads the token from the Authorization header, as RFC 9700 section 4.3.2 asks."""

    def authenticate(self, request: Any) -> Any:
        if "access_token" in request.query_params:
            raise AuthenticationFailed("A token in the URL.")
        return super().authenticate(request)


urlpatterns = [
    path("api/schema/", SpectacularAPIView.as_view()),
    path("api/whoami/", whoami_view(OAuth2Authentication if WEAK else HeaderOnly)),
    path("o/", include("oauth2_provider.urls", namespace="oauth2_provider")),
]
application = project.application("bob")

from oauth2_provider.models import get_application_model  # noqa: E402

for name in (USERNAME, "bob"):
    get_application_model().objects.create(
        name=name,
        client_id=name,
        client_secret=PASSWORD,
        client_type="confidential",
        authorization_grant_type="client-credentials",
    )
project.close_connections()
