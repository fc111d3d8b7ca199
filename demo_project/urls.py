"""Every route of the protected service. None has a trailing slash, but those of Django's admin."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

from demo_project.attacks import attack

urlpatterns = [
    path("", include("securecore.urls")),
    path("admin/", admin.site.urls),
    path("attacks/<str:name>", attack),
    path("", include("demo_project.payments.urls")),
]

# An API answers in one format, also where no view matches.
handler400 = "securecore.http.problems.bad_request"
handler404 = "securecore.http.problems.not_found"
