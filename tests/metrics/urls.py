from __future__ import annotations

from django.urls import include, path

urlpatterns = [path("", include("securecore.urls"))]

handler404 = "securecore.http.problems.not_found"
