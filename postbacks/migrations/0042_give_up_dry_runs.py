"""Count the workers that began a dry run, so that one that kills them is given up."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('postbacks', '0041_export_lists'),
    ]

    operations = [
        migrations.AddField(
            model_name='dryrunjob',
            name='tries',
            field=models.PositiveSmallIntegerField(db_default=0, default=0),
        ),
    ]
