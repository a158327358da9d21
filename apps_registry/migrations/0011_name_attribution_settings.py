"""Give attribution settings an id, by which the API and the audit log name them."""

import uuid

from django.db import migrations, models

FORWARD = """
ALTER TABLE attribution_settings ADD COLUMN public_id uuid NOT NULL DEFAULT gen_random_uuid();
ALTER TABLE attribution_settings ALTER COLUMN public_id DROP DEFAULT;
ALTER TABLE attribution_settings
    ADD CONSTRAINT attribution_settings_public_id_key UNIQUE (public_id);
"""
BACKWARD = "ALTER TABLE attribution_settings DROP COLUMN public_id;"


class Migration(migrations.Migration):
    dependencies = [("apps_registry", "0010_claim_store_ids")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(FORWARD, BACKWARD)],
            state_operations=[
                migrations.AddField(
                    model_name="attributionsettings",
                    name="public_id",
                    field=models.UUIDField(
                        default=uuid.uuid4,
                        editable=False,
                        help_text="How the management API names these settings.",
                        unique=True,
                        verbose_name="ID in the API",
                    ),
                )
            ],
        )
    ]
