import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("securecore", "0011_audit")]

    operations = [
        migrations.CreateModel(
            name="Lockout",
            fields=[
                ("subject", models.CharField(max_length=600, primary_key=True, serialize=False)),
                ("reason", models.CharField(max_length=255)),
                ("locked_at", models.DateTimeField()),
                ("expires_at", models.DateTimeField(db_index=True)),
            ],
            options={"db_table": "securecore_lockout"},
        ),
        migrations.CreateModel(
            name="RevocationList",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.UUIDField(unique=True)),
                ("issuer", models.TextField()),
                ("number", models.CharField(blank=True, max_length=49)),
                ("this_update", models.DateTimeField()),
                ("next_update", models.DateTimeField()),
                ("refuses_when_expired", models.BooleanField(default=False)),
                ("imported_at", models.DateTimeField()),
                ("entries", models.PositiveBigIntegerField(default=0)),
                ("expires_at", models.DateTimeField(db_index=True)),
            ],
            options={"db_table": "securecore_revocation_list"},
        ),
        migrations.CreateModel(
            name="ListedCertificate",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "certificate",
                        "revocation_list",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("certificate", models.UUIDField()),
                (
                    "revocation_list",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="securecore.revocationlist",
                    ),
                ),
                ("revoked_at", models.DateTimeField()),
                ("reason", models.PositiveSmallIntegerField()),
            ],
            options={"db_table": "securecore_listed_certificate"},
        ),
    ]
