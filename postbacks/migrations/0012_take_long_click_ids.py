"""Take click ids as long as networks make them: TikTok's have more than 255 characters."""

from django.db import migrations, models

LONGER = "ALTER TABLE touchpoint ALTER COLUMN click_id TYPE varchar(1024);"


class Migration(migrations.Migration):

    dependencies = [("postbacks", "0011_create_touchpoints")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(LONGER, migrations.RunSQL.noop)],
            state_operations=[
                migrations.AlterField(
                    model_name='touchpoint',
                    name='click_id',
                    field=models.CharField(blank=True, max_length=1024, verbose_name="network's click ID"),
                ),
            ],
        ),
    ]
