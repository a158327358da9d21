"""Remember which install a device had before it came back.

An install is updated when its app is opened and when its credit changes, of which no index knows:
with room in its page that costs no new entry in any index.
"""

import django.db.models.deletion
from django.db import migrations, models

FORWARD = """
ALTER TABLE install
    ADD COLUMN before_id bigint,
    ADD CONSTRAINT install_before_own FOREIGN KEY (organization_id, before_id)
        REFERENCES install (organization_id, id) ON DELETE SET NULL (before_id);
-- Whoever removes an install asks which came after it; most came after none.
CREATE INDEX install_by_before ON install (organization_id, before_id)
    WHERE before_id IS NOT NULL;
ALTER TABLE install SET (fillfactor = 85);
"""
BACKWARD = """
ALTER TABLE install RESET (fillfactor);
ALTER TABLE install DROP COLUMN before_id;
"""


class Migration(migrations.Migration):

    dependencies = [("postbacks", "0012_take_long_click_ids")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(FORWARD, BACKWARD)],
            state_operations=[
                migrations.AddField(
                    model_name='install',
                    name='before',
                    field=models.ForeignKey(db_constraint=False, help_text='The install that the device had before.', null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='postbacks.install'),
                ),
            ],
        )
    ]
