"""The twin's routes: the protected service's, one level down."""

from __future__ import annotations

from django.urls import include, path

from demo_project.vulnerable import views

_routes = [
    path("", views.page),
    path("healthz", views.healthz),
    path("api/whoami", views.Whoami.as_view()),
    path("api/accounts", views.Accounts.as_view()),
    path("api/transfers", views.Transfers.as_view()),
    path("api/payouts", views.Payouts.as_view()),
    path("api/vouchers", views.Vouchers.as_view()),
    path("api/vouchers/redeem", views.Redemption.as_view()),
    path("api/reports", views.Reports.as_view()),
    path("api/admin/grants/grant", views.Grants.as_view()),
    path("api/admin/grants/revoke", views.Grants.as_view(granted=False)),
    path("api/debug/memory", views.Memory.as_view()),
    path("auth/login", views.Login.as_view()),
    path("auth/logout", views.Logout.as_view()),
    path("oauth/token", views.Token.as_view()),
    path("oauth/revoke", views.Revoke.as_view()),
]

urlpatterns = [path("vulnerable/", include(_routes))]
