"""Who may sign in at all: the one place that decides."""

from apps_registry.models import User
from apps_registry.people.invitations import is_invited

NOT_A_MEMBER = "You are not a member of an organization yet. Ask an owner to invite you."


def may_sign_in(person: User) -> bool:
    """Tell whether there is anything for a person behind the door: a place, or an invitation."""
    return person.may_sign_in() or is_invited(person.email)
