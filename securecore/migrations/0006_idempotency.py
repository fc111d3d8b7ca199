from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("securecore", "0005_signature_keys"),
    ]

    operations = [
        migrations.AddField(
            model_name="idempotencyrecord",
            name="attempt",
            field=models.PositiveIntegerField(db_default=1, default=1),
        ),
        migrations.AddField(
            model_name="idempotencyrecord",
            name="is_encrypted",
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.AddField(
            model_name="idempotencyrecord",
            name="leased_until",
            field=models.DateTimeField(null=True),
        ),
        migrations.AlterField(
            model_name="idempotencyrecord",
            name="body",
            field=models.BinaryField(db_default=b"", default=b""),
        ),
        migrations.AlterField(
            model_name="idempotencyrecord",
            name="headers",
            field=models.JSONField(db_default={}, default=dict),
        ),
    ]
