"""Remember up to which row addresses were shortened."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('postbacks', '0018_look_for_outliers'),
    ]

    operations = [
        migrations.AddField(
            model_name='tidying',
            name='last_id',
            field=models.BigIntegerField(default=0),
        ),
    ]
