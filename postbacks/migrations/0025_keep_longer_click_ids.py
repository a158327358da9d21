"""Keep click ids whole up to 2,048 characters: some networks put all they know into them."""

from django.db import migrations, models

LONGER = "ALTER TABLE touchpoint ALTER COLUMN click_id TYPE varchar(2048);"


class Migration(migrations.Migration):

    dependencies = [("postbacks", "0024_hold_postbacks")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(LONGER, migrations.RunSQL.noop)],
            state_operations=[
                migrations.AlterField(
                    model_name="touchpoint",
                    name="click_id",
                    field=models.CharField(
                        blank=True, max_length=2048, verbose_name="network's click ID"
                    ),
                ),
            ],
        ),
    ]
