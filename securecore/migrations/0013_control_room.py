from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("securecore", "0012_locks")]

    operations = [
        migrations.CreateModel(
            name="LastRun",
            fields=[
                ("name", models.CharField(max_length=16, primary_key=True, serialize=False)),
                ("at", models.DateTimeField()),
                ("host", models.CharField(max_length=255)),
                ("outcome", models.CharField(max_length=16)),
                ("detail", models.TextField()),
            ],
            options={"db_table": "securecore_last_run"},
        ),
        migrations.CreateModel(
            name="ControlRoom",
            fields=[],
            options={
                "verbose_name": "control room",
                "verbose_name_plural": "control room",
                "proxy": True,
                "default_permissions": ("view",),
                "indexes": [],
                "constraints": [],
            },
            bases=("securecore.lastrun",),
        ),
        migrations.CreateModel(
            name="RefusalTotal",
            fields=[
                ("id", models.UUIDField(primary_key=True, serialize=False)),
                ("seconds", models.PositiveSmallIntegerField()),
                ("begins", models.DateTimeField()),
                ("code", models.CharField(max_length=64)),
                ("reason", models.CharField(max_length=64)),
                ("count", models.BigIntegerField()),
                ("expires_at", models.DateTimeField(db_index=True)),
            ],
            options={
                "verbose_name": "total of refusals",
                "verbose_name_plural": "totals of refusals",
                "db_table": "securecore_refusal_total",
                "indexes": [models.Index(fields=["seconds", "begins"], name="securecore_refusal_begins")],
            },
        ),
    ]
