import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("securecore", "0002_tokens"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name="session",
            name="address",
            field=models.CharField(blank=True, max_length=45),
        ),
        migrations.AddField(
            model_name="session",
            name="authenticated_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="session",
            name="certificate",
            field=models.CharField(blank=True, db_index=True, max_length=43),
        ),
        migrations.AddField(
            model_name="session",
            name="device",
            field=models.CharField(blank=True, max_length=200),
        ),
        migrations.AddField(
            model_name="session",
            name="epoch",
            field=models.BigIntegerField(default=0),
        ),
        migrations.AddField(
            model_name="session",
            name="gate",
            field=models.ForeignKey(
                db_column="principal",
                db_constraint=False,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="securecore.gate",
            ),
        ),
        migrations.AddField(
            model_name="session",
            name="predecessor",
            field=models.UUIDField(null=True),
        ),
        migrations.AddField(
            model_name="session",
            name="predecessor_was_user",
            field=models.BooleanField(default=False),
        ),
        migrations.AddField(
            model_name="session",
            name="rotated_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddIndex(
            model_name="session",
            index=models.Index(
                condition=models.Q(("predecessor__isnull", False)),
                fields=["predecessor"],
                name="sc_session_predecessor",
            ),
        ),
    ]
