from __future__ import annotations

from django.urls import path
from drf_spectacular.views import SpectacularJSONAPIView

from demo_project.payments import schema, views  # noqa: F401  # schema describes the views of securecore.urls

urlpatterns = [
    path("", views.home),
    path("api/whoami", views.Whoami.as_view()),
    path("api/accounts", views.Accounts.as_view()),
    path("api/transfers", views.Transfers.as_view()),
    path("api/payouts", views.Payouts.as_view()),
    path("api/payouts/proven", views.ProvenPayouts.as_view()),
    path("api/payouts/signed", views.SignedPayouts.as_view()),
    path("api/vouchers", views.Vouchers.as_view()),
    path("api/vouchers/redeem", views.Redemption.as_view()),
    path("api/reports", views.Reports.as_view()),
    path("api/admin/grants/grant", views.Grants.as_view()),
    path("api/admin/grants/revoke", views.Grants.as_view(granted=False)),
    path("api/debug/memory", views.Memory.as_view()),
    path("api/schema", SpectacularJSONAPIView.as_view()),
]
