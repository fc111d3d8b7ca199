from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("securecore", "0003_sessions"),
    ]

    operations = [
        migrations.AddField(
            model_name="idempotencyrecord",
            name="attempt",
            field=models.PositiveIntegerField(default=1),
        ),
        migrations.AddField(
            model_name="idempotencyrecord",
            name="is_encrypted",
            field=models.BooleanField(default=False),
        ),
        migrations.AddField(
            model_name="idempotencyrecord",
            name="leased_until",
            field=models.DateTimeField(null=True),
        ),
    ]
