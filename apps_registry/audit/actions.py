"""The actions that the audit log records."""

from django.db.models import TextChoices


class Action(TextChoices):
    """An action of a person or a program, as the audit log stores it."""

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
    REPLAYED = "replayed", "Started a replay"
    REPLAY_CANCELLED = "replay_cancelled", "Cancelled a replay"
    HELD_SENT = "held_sent", "Had held postbacks sent"
    HELD_DROPPED = "held_dropped", "Dropped held postbacks"
    REPEATED = "repeated", "Repeated"
    EXPORTED = "exported", "Exported"
    IMPORTED = "imported", "Imported"
    SHOWN = "shown", "Shown"  # a secret, to somebody who may see it
    SIGNED_IN = "signed_in", "Signed in"
    SIGNED_OUT = "signed_out", "Signed out"
    VISITED = "visited", "Visited"
    LEFT = "left", "Left"
