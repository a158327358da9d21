"""Say in the help of a rule's fields what its form says; the tables stay as they are."""

import django.core.validators
import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("apps_registry", "0013_keep_referrer_keys"),
        ("postbacks", "0021_keep_remarks"),
    ]

    operations = [
        migrations.AlterField(
            model_name="callbackrule",
            name="app",
            field=models.ForeignKey(
                blank=True,
                db_constraint=False,
                help_text="Whose events are sent, for example Gem Harbor iOS. Empty: all apps.",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="rules",
                to="apps_registry.app",
            ),
        ),
        migrations.AlterField(
            model_name="callbackrule",
            name="attribution_scope",
            field=models.CharField(
                choices=[
                    ("everyone", "Everyone"),
                    ("partner", "Attributed to this partner"),
                    ("partner_and_organic", "Attributed to this partner, and organic"),
                    ("any_attributed", "Attributed to any partner"),
                ],
                default="everyone",
                help_text="All installs' events, or for example only of those that the partner earned.",
                max_length=24,
            ),
        ),
        migrations.AlterField(
            model_name="callbackrule",
            name="body_type",
            field=models.CharField(
                choices=[
                    ("none", "No body"),
                    ("form", "Form (a=1&b=2)"),
                    ("json", "JSON"),
                    ("raw", "As it stands"),
                ],
                default="none",
                help_text="The format that the partner reads, for example JSON. GET has no body.",
                max_length=8,
            ),
        ),
        migrations.AlterField(
            model_name="callbackrule",
            name="delay_seconds",
            field=models.PositiveIntegerField(
                default=0,
                help_text="How many seconds to wait before the first try, for example 60. 0: at once.",
                validators=[django.core.validators.MaxValueValidator(604800)],
            ),
        ),
        migrations.AlterField(
            model_name="callbackrule",
            name="frequency",
            field=models.CharField(
                choices=[("every", "Every time"), ("first", "First time per device")],
                default="every",
                help_text="Whether a device's second purchase, for example, is sent too.",
                max_length=8,
            ),
        ),
        migrations.AlterField(
            model_name="callbackrule",
            name="method",
            field=models.CharField(
                choices=[("GET", "Get"), ("POST", "Post"), ("PUT", "Put"), ("PATCH", "Patch")],
                default="GET",
                help_text="How the partner wants to be called; most ad networks use GET.",
                max_length=8,
            ),
        ),
        migrations.AlterField(
            model_name="callbackrule",
            name="missing_values",
            field=models.CharField(
                choices=[("empty", "Send it empty"), ("drop", "Leave the parameter out")],
                default="empty",
                help_text="What happens to a parameter without a value, for example idfa on Android.",
                max_length=8,
            ),
        ),
        migrations.AlterField(
            model_name="callbackrule",
            name="partner",
            field=models.ForeignKey(
                blank=True,
                db_constraint=False,
                help_text="Who gets the postbacks, for example Unity Ads. Credentials belong to a partner.",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="rules",
                to="apps_registry.partner",
            ),
        ),
        migrations.AlterField(
            model_name="callbackrule",
            name="sampling_percent",
            field=models.PositiveSmallIntegerField(
                default=100,
                help_text="Share of devices whose events are sent, for example 10. 100: all.",
                validators=[django.core.validators.MaxValueValidator(100)],
            ),
        ),
        migrations.AlterField(
            model_name="callbackrule",
            name="send_revenue",
            field=models.BooleanField(
                default=True,
                help_text="Off: amounts and currency, for example 4.99 USD, are left out.",
            ),
        ),
        migrations.AlterField(
            model_name="callbackrule",
            name="sign",
            field=models.BooleanField(
                default=False,
                help_text="On: requests carry a Standard Webhooks signature, which your server can verify.",
            ),
        ),
        migrations.AlterField(
            model_name="callbackrule",
            name="status",
            field=models.CharField(
                choices=[
                    ("draft", "Draft"),
                    ("active", "Active"),
                    ("paused", "Paused"),
                    ("suspended", "Suspended by us"),
                    ("archived", "Archived"),
                ],
                default="draft",
                help_text="Only an active rule sends. Start with a draft while you write.",
                max_length=16,
            ),
        ),
        migrations.AlterField(
            model_name="callbackrule",
            name="url",
            field=models.TextField(
                help_text=(
                    "For example https://ads.example.com/postback?id={{advertising_id}}"
                    "&event={{event_name}}. Macros in double braces are filled in from the event."
                ),
                verbose_name="URL",
            ),
        ),
        migrations.AlterField(
            model_name="callbackrule",
            name="window_days",
            field=models.PositiveIntegerField(
                blank=True,
                help_text="Days after the install in which events count, for example 30. Empty: always.",
                null=True,
                validators=[
                    django.core.validators.MinValueValidator(1),
                    django.core.validators.MaxValueValidator(3650),
                ],
            ),
        ),
        migrations.AlterField(
            model_name="callbackrule",
            name="without_consent",
            field=models.CharField(
                choices=[
                    ("send", "Send all the same"),
                    ("strip", "Leave personal data out"),
                    ("skip", "Do not send"),
                ],
                default="strip",
                help_text="What to do when a person opted out, for example of tracking on iOS.",
                max_length=8,
            ),
        ),
        migrations.AlterField(
            model_name="touchpoint",
            name="names",
            field=models.JSONField(
                default=list, help_text="The identifiers by which an install is recognized."
            ),
        ),
    ]
