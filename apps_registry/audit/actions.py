"""What the audit log says that somebody did. A new action is one more line here."""

from django.db.models import TextChoices


class Action(TextChoices):
    """One kind of thing that people and programs do."""

    CREATED = "created", "Created"
    CHANGED = "changed", "Changed"
    ARCHIVED = "archived", "Archived"
    DELETED = "deleted", "Deleted"
    REVOKED = "revoked", "Revoked"
    SWITCHED_ON = "switched_on", "Switched on"
    SWITCHED_OFF = "switched_off", "Switched off"
    SUSPENDED = "suspended", "Suspended"
    TESTED = "tested", "Tested"
    RESENT = "resent", "Resent"
    REPEATED = "repeated", "Repeated"
    EXPORTED = "exported", "Exported"
    IMPORTED = "imported", "Imported"
    SHOWN = "shown", "Shown"  # a secret, to whoever may see it
    SIGNED_IN = "signed_in", "Signed in"
    SIGNED_OUT = "signed_out", "Signed out"
    VISITED = "visited", "Visited"
    LEFT = "left", "Left"
