"""Remember whether an organization's owners were told that a rule was suspended."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("postbacks", "0008_keep_rates")]

    operations = [
        migrations.AddField(
            model_name="callbackrule",
            name="suspension_told_at",
            field=models.DateTimeField(editable=False, null=True),
        ),
    ]
