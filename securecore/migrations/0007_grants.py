import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("securecore", "0006_idempotency"),
    ]

    operations = [
        migrations.CreateModel(
            name="GrantUse",
            fields=[
                ("id", models.UUIDField(primary_key=True, serialize=False)),
                ("principal", models.CharField(max_length=160)),
                ("uses", models.PositiveIntegerField(default=0)),
                ("amount", models.BigIntegerField(default=0)),
                ("expires_at", models.DateTimeField(db_index=True, null=True)),
            ],
            options={
                "db_table": "securecore_grant_use",
            },
        ),
        migrations.RemoveConstraint(
            model_name="grant",
            name="sc_grant_live_once",
        ),
        migrations.AddField(
            model_name="grant",
            name="amount_limit",
            field=models.BigIntegerField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="grant",
            name="denies",
            field=models.BooleanField(default=False),
        ),
        migrations.AddField(
            model_name="grant",
            name="object_id",
            field=models.CharField(blank=True, default="", max_length=255),
        ),
        migrations.AddField(
            model_name="grant",
            name="object_type",
            field=models.CharField(blank=True, default="", max_length=100),
        ),
        migrations.AddField(
            model_name="grant",
            name="period",
            field=models.PositiveIntegerField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="grant",
            name="uses_limit",
            field=models.PositiveIntegerField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="grant",
            name="valid_from",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="grant",
            name="valid_until",
            field=models.DateTimeField(blank=True, db_index=True, null=True),
        ),
        migrations.AlterField(
            model_name="gate",
            name="principal",
            field=models.CharField(max_length=160, primary_key=True, serialize=False),
        ),
        migrations.AlterField(
            model_name="grant",
            name="principal",
            field=models.CharField(max_length=160),
        ),
        migrations.AddIndex(
            model_name="grant",
            index=models.Index(
                condition=models.Q(("revoked_at", None)), fields=["permission", "principal"], name="sc_grant_holders"
            ),
        ),
        migrations.AddConstraint(
            model_name="grant",
            constraint=models.UniqueConstraint(
                condition=models.Q(("revoked_at", None)),
                fields=("principal", "permission", "object_type", "object_id", "denies"),
                name="sc_grant_live_once",
            ),
        ),
        migrations.AddConstraint(
            model_name="grant",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("object_id", ""), ("object_type", "")),
                    models.Q(("object_type", ""), ("object_id", ""), _connector="OR", _negated=True),
                    _connector="OR",
                ),
                name="sc_grant_object",
            ),
        ),
        migrations.AddConstraint(
            model_name="grant",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("valid_from", None),
                    ("valid_until", None),
                    ("valid_from__lt", models.F("valid_until")),
                    _connector="OR",
                ),
                name="sc_grant_window",
            ),
        ),
        migrations.AddConstraint(
            model_name="grant",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("uses_limit", None), ("uses_limit__gt", 0), _connector="OR"),
                    models.Q(("amount_limit", None), ("amount_limit__gt", 0), _connector="OR"),
                    models.Q(
                        ("period", None),
                        models.Q(
                            ("period__gt", 0), models.Q(("amount_limit", None), ("uses_limit", None), _negated=True)
                        ),
                        _connector="OR",
                    ),
                    models.Q(
                        ("denies", False), models.Q(("amount_limit", None), ("uses_limit", None)), _connector="OR"
                    ),
                ),
                name="sc_grant_allowance",
            ),
        ),
        migrations.AddConstraint(
            model_name="grant",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("permission__startswith", "role:"), _negated=True),
                    models.Q(
                        models.Q(("principal__startswith", "role:"), _negated=True),
                        ("amount_limit", None),
                        ("object_type", ""),
                        ("uses_limit", None),
                    ),
                    _connector="OR",
                ),
                name="sc_grant_role",
            ),
        ),
        migrations.AddField(
            model_name="grantuse",
            name="grant",
            field=models.ForeignKey(
                db_constraint=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="used",
                to="securecore.grant",
            ),
        ),
    ]
