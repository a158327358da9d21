
import apps_registry.models.tokens
import django.contrib.postgres.fields
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('apps_registry', '0004_keep_an_audit_log'),
    ]

    operations = [
        migrations.AddField(
            model_name='apitoken',
            name='scopes',
            field=django.contrib.postgres.fields.ArrayField(base_field=models.CharField(choices=[('read', 'Read: apps, rules, events and the delivery log'), ('export', 'Export: take lists away as CSV'), ('set_up', 'Set up: apps, partners, campaigns and rules'), ('resend', 'Resend: postbacks, and test sends'), ('manage', 'Manage: members, keys and tokens, where credentials may go')], max_length=16), default=apps_registry.models.tokens.every_scope, help_text='What of that it may do, for example only Read. What its role does not allow is left out.', size=None),
        ),
        migrations.AddField(
            model_name='sdkkey',
            name='expires_at',
            field=models.DateTimeField(blank=True, editable=False, help_text='When a key that was rotated stops working, for example 2027-01-31 00:00:00.', null=True, verbose_name='ends'),
        ),
    ]
