"""The rights of each role: one table for the admin and the API."""

from collections.abc import Mapping
from enum import StrEnum

from django.db.models import TextChoices


class Role(TextChoices):
    """A member's role in an organization."""

    OWNER = "owner", "Owner"
    MARKETER = "marketer", "Marketer"
    ANALYST = "analyst", "Analyst"


class Right(StrEnum):
    """A kind of action that a role may or may not allow."""

    READ = "read"  # see everything but secrets
    EXPORT = "export"  # download lists as files, and the configuration as JSON
    SET_UP = "set_up"  # apps, partners, campaigns, rules
    RESEND = "resend"  # resend, replay and test send
    MANAGE = "manage"  # members, keys and tokens, allowed hosts of credentials


RIGHTS: dict[str, frozenset[Right]] = {
    Role.OWNER: frozenset(Right),
    Role.MARKETER: frozenset({Right.READ, Right.EXPORT, Right.SET_UP, Right.RESEND}),
    Role.ANALYST: frozenset({Right.READ, Right.EXPORT}),
}


# What both doors offer beside a row's own list and form. Rows name theirs themselves, and a test
# compares the doors.
RIGHT_TO: Mapping[str, Right] = {
    "explain": Right.READ,
    "save_view": Right.READ,
    "version": Right.READ,
    "template": Right.READ,
    "restore": Right.SET_UP,
    "preview": Right.SET_UP,
    "dry_run": Right.SET_UP,
    "test_send": Right.RESEND,
    "start_held": Right.RESEND,
    "resend": Right.RESEND,
    "replay": Right.RESEND,
    "export_list": Right.EXPORT,
    "compare_list": Right.EXPORT,
}


def common_rights(*roles: str) -> frozenset[Right]:
    return frozenset(Right).intersection(*(RIGHTS.get(role, frozenset()) for role in roles))


def allows(role: str, right: Right) -> bool:
    """Return whether a role has a right; an unknown role has none."""
    return right in RIGHTS.get(role, frozenset())
