"""A generated load is what months of use would have left: whole, countable, and gone again."""

from hashlib import sha1
from io import StringIO
from uuid import UUID

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from apps_registry.models import Organization, User
from apps_registry.tenancy import tenant
from postbacks.demo.generated_load.organizations import OWNER
from postbacks.infrastructure.database import roles
from postbacks.insights.search import search
from postbacks.models import Event, FigureSpan, Install, Postback, Touchpoint
from tests import make
from tests.commands.test_remove_organization import rows_left
from tests.database import as_role
from tests.insights.test_figure_changes import figures, fold, raw
from tests.isolation.evidence import fingerprint
from tests.isolation.story import live_through

pytestmark = pytest.mark.django_db(transaction=True)

SIZE = ["--attempts=1000", "--events=300", "--organizations=3", "--clicks=100", "--days=1"]


def generate(*arguments: str) -> str:
    output = StringIO()
    with as_role(roles.WORKER):
        call_command("generateload", *arguments, stdout=output)
    return output.getvalue()


def count(table: str) -> int:
    with as_role(roles.WORKER), connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {table}")
        return int(cursor.fetchone()[0])


def test_a_load_has_the_size_asked_for_and_figures_that_equal_its_rows() -> None:
    output = generate(*SIZE)

    assert "1,000 attempts, 700 postbacks, 300 events and 100 clicks of 3 organizations" in output
    assert (count("event"), count("event_key"), count("touchpoint")) == (300, 300, 100)
    assert (count("postback"), count("install"), count("attribution")) == (700, 50, 50)
    assert abs(count("delivery_attempt") - 1_000) <= 2
    assert not any(map(count, ("undecided_event", "due_postback", "figure_change")))
    for span in (FigureSpan.MINUTE, FigureSpan.QUARTER):
        assert figures(span) == raw(span), span
    with as_role(roles.WORKER), connection.cursor() as cursor:
        cursor.execute("SELECT span, kind, sum(count), sum(amount) FROM figure GROUP BY 1, 2")
        sums = {(span, kind): tuple(figures) for span, kind, *figures in cursor.fetchall()}
    days = {kind: counted for (span, kind), counted in sums.items() if span == FigureSpan.DAY}
    minutes = {kind: counted for (span, kind), counted in sums.items() if span == FigureSpan.MINUTE}
    assert days == minutes


def test_what_was_generated_is_found_by_its_ids_and_belongs_together() -> None:
    generate(*SIZE)
    first = Organization.objects.order_by("pk")[0]
    with tenant(first.pk):
        install = Install.objects.exclude(touchpoint=None)[0]
        click = Touchpoint.objects.get(public_id=install.touchpoint)
        event = Event.objects.filter(device=install.device).order_by("-pk")[0]
        postback = Postback.objects.filter(event_id=event.pk)[0]
        advertising_id = install.device.removeprefix("advertising:")
        hashed = sha1(advertising_id.upper().encode(), usedforsecurity=False).hexdigest()

        assert install.partner_id == click.partner_id == click.campaign.partner_id
        for text, found in (
            (click.click_id, click),
            (str(click.public_id), click),
            (advertising_id, install),
            (advertising_id, event),
            (advertising_id, click),
            (hashed, install),
            (str(install.install_id), install),
            (str(event.event_id), event),
            (event.customer_user_id, event),
            (str(postback.public_id), postback),
        ):
            assert found in [match.row for match in search(text).matches], text
        assert postback.install_id == install.pk
        assert UUID(advertising_id)


def test_organizations_of_others_are_not_put_beside_a_load_unless_that_is_asked_for() -> None:
    story = live_through("Gem Harbor")
    fold()
    before = fingerprint(story)

    with pytest.raises(CommandError, match="has organizations of its own"):
        generate(*SIZE)
    assert Organization.objects.count() == 1
    generate(*SIZE, "--beside-others")

    assert Organization.objects.count() == 4
    assert fingerprint(story) == before
    with pytest.raises(CommandError, match="There is a load already"):
        generate(*SIZE, "--beside-others")


def test_a_load_is_removed_and_nothing_else() -> None:
    other = make.make_tenant("Gem Harbor")
    before = rows_left(other.organization.pk)
    generate(*SIZE, "--beside-others")
    of_load = [each.pk for each in Organization.objects.exclude(pk=other.organization.pk)]

    generate("--remove")

    assert not any(any(rows_left(organization).values()) for organization in of_load)
    assert rows_left(other.organization.pk) == before
    assert list(Organization.objects.all()) == [other.organization]
    assert not User.objects.get(email=OWNER).memberships_for_sign_in().exists()


def test_sizes_that_make_no_sense_are_refused() -> None:
    with pytest.raises(CommandError, match="--events must be at least 1"):
        generate("--events=0")
    with pytest.raises(CommandError, match="--days must lie between 1 and 30"):
        generate("--days=90")
