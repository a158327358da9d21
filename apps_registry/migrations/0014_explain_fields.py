"""Name the settings of probabilistic matches as the forms do; the tables stay as they are."""

import django.core.validators
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("apps_registry", "0013_keep_referrer_keys")]

    operations = [
        migrations.AlterField(
            model_name="attributionsettings",
            name="probabilistic_click_window_minutes",
            field=models.PositiveIntegerField(
                blank=True,
                help_text="How old such a click may be, for example 360 for 6 hours.",
                null=True,
                validators=[
                    django.core.validators.MinValueValidator(5),
                    django.core.validators.MaxValueValidator(1440),
                ],
                verbose_name="window for probabilistic clicks (minutes)",
            ),
        ),
        migrations.AlterField(
            model_name="attributionsettings",
            name="probabilistic_clicks",
            field=models.BooleanField(
                blank=True,
                help_text=(
                    "Credit an install to a click from the same address and kind of device if it "
                    "is the only one, for example where no id is shared. Off unless you switch it "
                    "on."
                ),
                null=True,
                verbose_name="probabilistic clicks",
            ),
        ),
        migrations.AlterField(
            model_name="attributionsettings",
            name="probabilistic_impression_window_minutes",
            field=models.PositiveIntegerField(
                blank=True,
                help_text="How old such an impression may be, for example 60.",
                null=True,
                validators=[
                    django.core.validators.MinValueValidator(5),
                    django.core.validators.MaxValueValidator(1440),
                ],
                verbose_name="window for probabilistic impressions (minutes)",
            ),
        ),
        migrations.AlterField(
            model_name="attributionsettings",
            name="probabilistic_impressions",
            field=models.BooleanField(
                blank=True,
                help_text="The same for ads that were only seen, for example video ads on TV.",
                null=True,
                verbose_name="probabilistic impressions",
            ),
        ),
        migrations.AlterField(
            model_name="attributionsettings",
            name="probabilistic_on_ios",
            field=models.BooleanField(
                blank=True,
                help_text=(
                    "Apple's rules forbid to recognize a device by its traits, for example by its "
                    "address; switch it on only where you may."
                ),
                null=True,
                verbose_name="probabilistic matches on iOS",
            ),
        ),
        migrations.AlterField(
            model_name="partner",
            name="name",
            field=models.CharField(
                help_text="Who receives postbacks, for example Unity Ads.", max_length=120
            ),
        ),
    ]
