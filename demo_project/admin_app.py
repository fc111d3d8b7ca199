from __future__ import annotations

from django.contrib.admin.apps import AdminConfig


class CertificateAdminConfig(AdminConfig):
    """Django's admin with the demo's site. Not in apps.py, where Django would find two apps."""

    default_site = "demo_project.admin_site.CertificateAdminSite"
