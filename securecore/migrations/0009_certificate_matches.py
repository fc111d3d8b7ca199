from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("securecore", "0008_triggers")]

    operations = [
        migrations.AddField(
            model_name="certificate",
            name="matched_by",
            field=models.CharField(
                choices=[
                    ("thumbprint", "thumbprint"),
                    ("public-key", "public-key"),
                    ("san-uri", "san-uri"),
                    ("san-email", "san-email"),
                    ("san-dns", "san-dns"),
                    ("subject", "subject"),
                ],
                default="thumbprint",
                max_length=10,
            ),
        ),
        migrations.AlterField(
            model_name="certificate",
            name="enrolled_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AlterField(
            model_name="certificate",
            name="not_after",
            field=models.DateTimeField(blank=True, db_index=True, null=True),
        ),
    ]
