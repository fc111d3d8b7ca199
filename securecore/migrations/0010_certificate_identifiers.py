from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("securecore", "0009_certificate_matches")]

    operations = [
        migrations.CreateModel(
            name="CertificateIdentifier",
            fields=[
                ("id", models.UUIDField(primary_key=True, serialize=False)),
                ("certificate", models.CharField(db_index=True, max_length=43)),
                ("identifier", models.CharField(db_index=True, max_length=43)),
                ("expires_at", models.DateTimeField(db_index=True)),
            ],
            options={"db_table": "securecore_certificate_identifier"},
        ),
    ]
