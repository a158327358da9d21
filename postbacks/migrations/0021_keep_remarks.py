"""Keep what was odd about a credit and decided nothing."""

from django.db import migrations, models

# A worker of the version before goes on writing credits while this one starts.
DEFAULT = "ALTER TABLE attribution ALTER COLUMN remarks SET DEFAULT '[]'"
NO_DEFAULT = "ALTER TABLE attribution ALTER COLUMN remarks DROP DEFAULT"


class Migration(migrations.Migration):
    dependencies = [("postbacks", "0020_find_guesses")]

    operations = [
        migrations.AddField(
            model_name="attribution",
            name="remarks",
            field=models.JSONField(default=list, help_text="What was odd and decided nothing."),
        ),
        migrations.RunSQL(DEFAULT, NO_DEFAULT),
    ]
