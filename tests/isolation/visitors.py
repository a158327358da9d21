"""Who knocks at the doors: people of another organization, in each role."""

from collections.abc import Iterator
from dataclasses import dataclass

from apps_registry.models import User
from apps_registry.roles import Role
from apps_registry.tenancy import tenant
from tests import make
from tests.isolation.story import Story


@dataclass(frozen=True, slots=True)
class Visitor:
    """A person with a session, and the keys that she can have.

    Who is thorough asks every list for every id and by every column.
    """

    role: str
    person: User
    keys: tuple[str, ...]
    story: Story
    is_thorough: bool = False


def visitors_from(story: Story) -> Iterator[Visitor]:
    """Yield one visitor per role, the owner last: she alone can break what the others need."""
    for role in (Role.ANALYST, Role.MARKETER):
        person = make.make_user(role, organization=story.tenant.organization)
        with tenant(story.organization_id):
            token = make.make_api_token(role, user=person)
        yield Visitor(role, person, (token,), story)
    yield owner_of(story)


def owner_of(story: Story, *, is_thorough: bool = False) -> Visitor:
    """Return the owner, who also has an SDK key."""
    keys = (story.tenant.api_token, story.tenant.sdk_key)
    return Visitor(Role.OWNER, story.tenant.owner, keys, story, is_thorough)
