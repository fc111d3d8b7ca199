"""The app's own addresses and the admin; a test that needs views of its own brings them with `pytest.mark.urls`."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("", include("securecore.urls")),
]
