"""An app's page asks what its conversion values mean, and says whether Apple's copies come."""

import pytest

from apps_registry.models import App, ConversionMeaning, Partner
from apps_registry.tenancy import tenant
from tests import make
from tests.admin.pages import sign_in, submit

pytestmark = pytest.mark.django_db(transaction=True)

FINE, COARSE = "conversion_meanings", "conversion_meanings-2"


@pytest.fixture
def made() -> make.Tenant:
    return make.make_tenant()


def page_of(made: make.Tenant) -> str:
    return f"/admin/apps_registry/app/{made.app.pk}/change/"


def rows_of(made: make.Tenant) -> list[str]:
    with tenant(made.organization.pk):
        rows = ConversionMeaning.objects.order_by("pk")
        return [f"{row.values} {row.sequence} {row.event_name} {row.least_revenue}" for row in rows]


def fine(place: int, first: object, last: object, event: str = "purchase") -> dict[str, object]:
    row = f"{FINE}-{place}"
    return {
        f"{row}-first_value": first,
        f"{row}-last_value": last,
        f"{row}-event_name": event,
        f"{row}-currency": "USD",
        f"{FINE}-TOTAL_FORMS": place + 1,
    }


def test_people_say_what_values_mean(made: make.Tenant) -> None:
    browser = sign_in(made.owner)
    coarse = {f"{COARSE}-0-coarse_value": "high", f"{COARSE}-0-sequence": 1}

    submit(browser, page_of(made), {**fine(0, 10, 19), f"{FINE}-0-least_revenue": "4.99"})
    submit(browser, page_of(made), {**coarse, f"{COARSE}-0-event_name": "subscribed"})

    assert rows_of(made) == ["10 to 19 None purchase 4.990000", "High 1 subscribed None"]


def test_a_saved_row_can_be_changed_and_removed(made: make.Tenant) -> None:
    browser = sign_in(made.owner)
    submit(browser, page_of(made), fine(0, 10, 19))

    submit(browser, page_of(made), {f"{FINE}-0-last_value": 12})
    changed = rows_of(made)
    submit(browser, page_of(made), {f"{FINE}-0-DELETE": "on"})

    assert changed == ["10 to 12 None purchase None"]
    assert rows_of(made) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (fine(0, 10, 64), "less than or equal to 63"),
        (fine(0, 20, 10), "It is below the value that the range begins at."),
        ({**fine(0, 1, 9), **fine(1, 9, 12)}, "The values 1 to 9 and 9 to 12 meet"),
        (fine(0, 10, ""), "This field is required."),
        (
            {
                f"{COARSE}-0-coarse_value": "low",
                f"{COARSE}-1-coarse_value": "low",
                f"{COARSE}-1-currency": "USD",
                f"{COARSE}-TOTAL_FORMS": 2,
            },
            "The values Low and Low meet",
        ),
        ({f"{COARSE}-0-event_name": "open"}, "This field is required."),
    ],
)
def test_a_value_means_one_thing(made: make.Tenant, changes: dict[str, object], words: str) -> None:
    answer = submit(sign_in(made.owner), page_of(made), changes)

    assert answer.status_code == 200
    assert words in answer.content.decode()
    assert rows_of(made) == []


def test_only_ios_apps_are_asked(made: make.Tenant) -> None:
    with tenant(made.organization.pk):
        made.app.platform = "android"
        made.app.save()

    page = sign_in(made.owner).get(page_of(made)).content.decode()

    assert "conversion values mean" not in page
    assert "They come to an iOS app" in page


def test_the_page_says_whether_copies_come(made: make.Tenant) -> None:
    other = make.make_tenant("Moss Valley")
    make.own_store_id(made.app, made.app.store_id)

    pages = [sign_in(each.owner).get(page_of(each)).content.decode() for each in (made, other)]

    assert "with this store ID come to this app" in pages[0]
    assert "until the operator has decided" in pages[1]
    assert made.organization.name not in pages[1]


def test_a_partner_has_the_names_that_apple_has_for_it(made: make.Tenant) -> None:
    with tenant(made.organization.pk):
        partner = make.make_partner()
    browser, path = sign_in(made.owner), f"/admin/apps_registry/partner/{partner.pk}/change/"

    submit(browser, path, {"skadnetwork_ids": "4FZDC2EVR5.skadnetwork, v9wttpbfk9.skadnetwork"})
    wrong = submit(browser, path, {"skadnetwork_ids": "no spaces"}).content.decode()

    assert "“no spaces” is not an ID of a network." in wrong
    with tenant(made.organization.pk):
        stored = Partner.objects.get(pk=partner.pk).skadnetwork_ids
    assert stored == ["4fzdc2evr5.skadnetwork", "v9wttpbfk9.skadnetwork"]


def test_an_analyst_reads_the_meanings(made: make.Tenant) -> None:
    with tenant(made.organization.pk):
        app = App.objects.get(pk=made.app.pk)
        ConversionMeaning.objects.create(
            app=app, first_value=1, last_value=2, event_name="level_reached"
        )
    analyst = make.make_user("analyst", organization=made.organization)

    page = sign_in(analyst).get(page_of(made)).content.decode()

    assert "level_reached" in page
    assert 'name="conversion_meanings-0-event_name"' not in page
