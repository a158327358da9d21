"""Keep an audit log that nobody can change, and mark organizations that are being removed.

Web may read and add. The worker may also delete, which the trigger allows for an organization that
is being removed. Nobody is granted UPDATE or TRUNCATE, and the trigger refuses an UPDATE to all.
"""

import uuid

import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models

PROTECT = """
SELECT protect_tenant_table('audit_entry', 'SELECT, INSERT');
REVOKE UPDATE ON audit_entry FROM postbacks_worker;

CREATE FUNCTION audit_entry_is_append_only() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF TG_OP = 'DELETE' AND EXISTS (
        SELECT FROM organization WHERE id = OLD.organization_id AND removed_at IS NOT NULL
    ) THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'audit_entry_is_append_only'
        USING HINT = 'Entries leave only with their organization.';
END $$;

CREATE TRIGGER audit_entry_is_append_only BEFORE UPDATE OR DELETE ON audit_entry
    FOR EACH ROW EXECUTE FUNCTION audit_entry_is_append_only();
"""

REMOVE = """
DROP TRIGGER audit_entry_is_append_only ON audit_entry;
DROP FUNCTION audit_entry_is_append_only();
"""


class Migration(migrations.Migration):
    dependencies = [("apps_registry", "0003_explain_fields")]

    operations = [
        migrations.AddField(
            model_name="organization",
            name="removed_at",
            field=models.DateTimeField(editable=False, null=True, verbose_name="removed"),
        ),
        migrations.CreateModel(
            name="AuditEntry",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("public_id", models.UUIDField(default=uuid.uuid4, editable=False, unique=True, verbose_name="ID in the API")),
                ("at", models.DateTimeField(default=django.utils.timezone.now, verbose_name="when")),
                ("actor_kind", models.CharField(choices=[("person", "Person"), ("token", "API token"), ("operator", "Operator"), ("sdk_key", "SDK key"), ("system", "Postbacks itself")], max_length=16)),
                ("actor_id", models.BigIntegerField(null=True)),
                ("actor_name", models.CharField(max_length=255)),
                ("door", models.CharField(choices=[("web", "Web"), ("api", "API"), ("command", "Command line"), ("worker", "Background work")], max_length=16)),
                ("ip_address", models.GenericIPAddressField(null=True, verbose_name="IP address")),
                ("action", models.CharField(max_length=32)),
                ("object_type", models.CharField(blank=True, max_length=64)),
                ("object_id", models.CharField(blank=True, max_length=64)),
                ("object_name", models.CharField(blank=True, max_length=255)),
                ("changes", models.JSONField(default=dict)),
                ("organization", models.ForeignKey(editable=False, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="apps_registry.organization")),
            ],
            options={
                "verbose_name": "audit entry",
                "verbose_name_plural": "audit log",
                "db_table": "audit_entry",
                "abstract": False,
                "base_manager_name": "objects",
                "default_manager_name": "objects",
                "indexes": [
                    models.Index(fields=["organization", "-at", "-id"], name="audit_entry_newest"),
                    models.Index(fields=["organization", "object_id", "-at", "-id"], name="audit_entry_of_object"),
                ],
            },
        ),
        migrations.RunSQL(PROTECT, REMOVE),
    ]
