"""An operator's visit to an organization: begun explicitly, for an hour, visible to its owners.

Meanwhile the operator acts under a membership that is never saved. The organization's audit log
records beginning and end, with the reason.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.http import HttpRequest
from django.middleware.csrf import rotate_token

from apps_registry.audit.actions import Action
from apps_registry.audit.actors import SYSTEM, Actor, ActorKind, Door, acting_as
from apps_registry.audit.audited_model import log_action
from apps_registry.client_address import client_address
from apps_registry.models import Membership, Organization, User
from apps_registry.roles import Role
from apps_registry.tenancy import tenant

LENGTH = timedelta(hours=1)
PURPOSES = {
    "look": Role.ANALYST,
    "help": Role.OWNER,
}
_IN_SESSION = "visit"


@dataclass(frozen=True, slots=True)
class OperatorVisit:
    """A visit under way: the organization, the role, and the end."""

    organization: Organization
    role: str
    until: datetime
    membership: Membership


def operator_of(request: HttpRequest) -> User | None:
    """Return the operator who sent a request, None for anybody else."""
    user = request.user
    return user if isinstance(user, User) and user.is_active and user.is_superuser else None


def begin(request: HttpRequest, organization: Organization, *, purpose: str, reason: str) -> None:
    """Enter an organization: to `look` with an analyst's rights, to `help` with an owner's.

    Forms open in other tabs become invalid, as after switching organizations.
    """
    end(request)
    role = PURPOSES[purpose]
    request.session[_IN_SESSION] = {
        "organization": str(organization.public_id),
        "role": role.value,
        "until": (datetime.now(UTC) + LENGTH).isoformat(),
    }
    rotate_token(request)
    with _logged_in(organization, request):
        log_action(
            Action.VISITED,
            organization,
            changes={"reason": [None, reason], "role": [None, role.value]},
        )


def end(request: HttpRequest, *, why: str = "left") -> None:
    """End the visit, if there is one."""
    stored = request.session.pop(_IN_SESSION, None)
    organization = _organization(stored)
    if organization is None:
        return
    rotate_token(request)
    with _logged_in(organization, request):
        log_action(Action.LEFT, organization, changes={"reason": [None, why]})


def end_with_session(sender: object, request: HttpRequest | None, **_: object) -> None:
    if request is not None and hasattr(request, "session"):
        end(request, why="signed out")


def current(request: HttpRequest) -> OperatorVisit | None:
    """Return this session's visit. An expired one ends here."""
    stored = request.session.get(_IN_SESSION)
    if not stored:
        return None
    operator, organization = operator_of(request), _organization(stored)
    until = datetime.fromisoformat(stored["until"])
    if operator is None or organization is None or until <= datetime.now(UTC):
        end(request, why="the hour was over" if operator else "no operator any more")
        return None
    membership = Membership(organization=organization, user=operator, role=stored["role"])
    return OperatorVisit(organization, stored["role"], until, membership)


def actor(request: HttpRequest, user: User) -> Actor:
    return Actor(
        ActorKind.OPERATOR, user.email, Door.WEB, user_id=user.pk, address=client_address(request)
    )


@contextmanager
def _logged_in(organization: Organization, request: HttpRequest) -> Iterator[None]:
    user = request.user
    # An operator deactivated during a visit is anonymous, and we end the visit for them.
    by = actor(request, user) if isinstance(user, User) else SYSTEM
    with acting_as(by), tenant(organization.pk):
        yield


def _organization(stored: object) -> Organization | None:
    if not isinstance(stored, dict):
        return None
    public_id = UUID(str(stored["organization"]))
    return Organization.objects.filter(public_id=public_id, removed_at=None).first()
