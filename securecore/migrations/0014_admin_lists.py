from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("securecore", "0013_control_room")]

    operations = [
        migrations.AlterModelOptions(
            name="refreshfamily",
            options={"verbose_name": "refresh-token family", "verbose_name_plural": "refresh-token families"},
        ),
        migrations.AddIndex(
            model_name="certificate",
            index=models.Index(
                condition=models.Q(("serial_number", ""), _negated=True),
                fields=["serial_number"],
                name="sc_certificate_serial",
            ),
        ),
        migrations.AddIndex(
            model_name="grant",
            index=models.Index(
                condition=models.Q(("revoked_at__isnull", False)), fields=["principal"], name="sc_grant_history"
            ),
        ),
    ]
