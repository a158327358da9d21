"""Keep how long the parts of each attempt's request took, in eight bytes."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("postbacks", "0048_keep_last_outcomes")]

    operations = [
        migrations.AddField(
            model_name="deliveryattempt",
            name="packed_timings",
            field=models.BigIntegerField(db_column="timings", null=True),
        ),
    ]
