"""What each role in an organization may do: one table, used by admin and API alike."""

from enum import StrEnum

from django.db.models import TextChoices


class Role(TextChoices):
    """A person's place in an organization."""

    OWNER = "owner", "Owner"
    MARKETER = "marketer", "Marketer"
    ANALYST = "analyst", "Analyst"


class Right(StrEnum):
    """One kind of action."""

    READ = "read"  # see everything but secrets
    EXPORT = "export"  # take lists away as CSV, and the configuration as JSON
    SET_UP = "set_up"  # apps, partners, campaigns, rules
    RESEND = "resend"  # resend, replay and test send
    MANAGE = "manage"  # members, keys and tokens, what a partner's credentials may reach


RIGHTS: dict[str, frozenset[Right]] = {
    Role.OWNER: frozenset(Right),
    Role.MARKETER: frozenset({Right.READ, Right.EXPORT, Right.SET_UP, Right.RESEND}),
    Role.ANALYST: frozenset({Right.READ, Right.EXPORT}),
}


def common_rights(*roles: str) -> frozenset[Right]:
    """Return the rights that every one of some roles has."""
    return frozenset(Right).intersection(*(RIGHTS.get(role, frozenset()) for role in roles))


def allows(role: str, right: Right) -> bool:
    """Tell whether a role has a right; an unknown role has none."""
    return right in RIGHTS.get(role, frozenset())
