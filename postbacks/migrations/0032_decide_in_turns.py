"""Order the queue of undecided events by organization, and keep which rules are too expensive."""

from django.db import migrations, models

# The queue is short, and any index that begins with the organization finds its first events.
IN_TURNS = """
ALTER TABLE undecided_event DROP CONSTRAINT undecided_event_pkey;
ALTER TABLE undecided_event ADD PRIMARY KEY (organization_id, id);
"""
IN_ORDER = """
ALTER TABLE undecided_event DROP CONSTRAINT undecided_event_pkey;
ALTER TABLE undecided_event ADD PRIMARY KEY (id);
"""


class Migration(migrations.Migration):

    dependencies = [('postbacks', '0031_say_who_sent_touchpoints')]

    operations = [
        migrations.RunSQL(IN_TURNS, IN_ORDER),
        migrations.AddField(
            'callbackrule', 'expensive_version', models.PositiveIntegerField(editable=False, null=True)
        ),
        migrations.AddField(
            'callbackrule', 'expensive_at', models.DateTimeField(editable=False, null=True)
        ),
        migrations.AddField(
            'callbackrule', 'expensive_ms', models.PositiveIntegerField(editable=False, default=0)
        ),
    ]
