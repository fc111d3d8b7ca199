import django.core.serializers.json
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("securecore", "0010_certificate_identifiers")]

    operations = [
        migrations.CreateModel(
            name="AuditRow",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("at", models.DateTimeField()),
                ("event", models.CharField(max_length=80)),
                ("subject", models.CharField(max_length=255)),
                ("actor_kind", models.CharField(max_length=11)),
                ("actor", models.CharField(max_length=255)),
                ("address", models.CharField(max_length=255)),
                ("request_id", models.CharField(max_length=64)),
                ("reason", models.TextField()),
                ("payload", models.JSONField(encoder=django.core.serializers.json.DjangoJSONEncoder)),
                ("expires_at", models.DateTimeField()),
                ("position", models.BigIntegerField(null=True, unique=True)),
                ("previous", models.CharField(max_length=43, null=True)),
                ("digest", models.CharField(max_length=43, null=True)),
            ],
            options={
                "verbose_name": "audit row",
                "db_table": "securecore_audit",
                "indexes": [
                    models.Index(fields=["subject"], name="securecore_audit_subject"),
                    models.Index(fields=["actor"], name="securecore_audit_actor"),
                    models.Index(
                        fields=["request_id"], condition=~models.Q(request_id=""), name="securecore_audit_request"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="RefusalCount",
            fields=[
                ("id", models.UUIDField(primary_key=True, serialize=False)),
                ("minute", models.DateTimeField()),
                ("code", models.CharField(max_length=64)),
                ("reason", models.CharField(max_length=64)),
                ("route", models.CharField(max_length=200)),
                ("actor", models.CharField(max_length=255)),
                ("count", models.BigIntegerField()),
                ("expires_at", models.DateTimeField(db_index=True)),
            ],
            options={
                "verbose_name": "count of refusals",
                "verbose_name_plural": "counts of refusals",
                "db_table": "securecore_refusal_count",
                "indexes": [models.Index(fields=["minute", "code"], name="securecore_refusal_minute")],
            },
        ),
    ]
