"""Mark organizations that are being removed."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('apps_registry', '0003_explain_fields'),
    ]

    operations = [
        migrations.AddField(
            model_name='organization',
            name='removed_at',
            field=models.DateTimeField(editable=False, null=True, verbose_name='being removed since'),
        ),
    ]
