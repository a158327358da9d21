"""The page SKAdNetwork: figures, the copies behind them, and what to do while there are none."""

import csv
import io
import json
import uuid
from urllib.parse import urlencode

import pytest

from apps_registry.tenancy import tenant
from postbacks.models import Event, SkanPostback
from tests import make
from tests.admin.pages import sign_in
from tests.api.test_apples_copies import GENUINE, STORE_ID, send

pytestmark = pytest.mark.django_db(transaction=True)

PAGE = "/admin/postbacks/skanpostback/"


@pytest.fixture
def made() -> make.Tenant:
    return make.make_tenant()


def store(made: make.Tenant, **said: object) -> SkanPostback:
    with tenant(made.organization.pk):
        return make.make_skan_postback(made.app, **said)


def text(made: make.Tenant, path: str) -> str:
    answer = sign_in(made.owner).get(path)
    assert answer.status_code == 200
    return answer.content.decode()


def test_while_there_is_none_the_page_says_what_an_app_must_say(made: make.Tenant) -> None:
    page = text(made, PAGE)

    assert "No copies yet" in page
    assert "NSAdvertisingAttributionReportEndpoint" in page
    assert "AttributionCopyEndpoint" in page
    assert "registrable domain" in page
    assert "Valid copies" not in page


def test_figures_and_copies_are_shown_together(made: make.Tenant) -> None:
    store(made, event_name="purchase", least_revenue="4.99", currency="USD", conversion_value=12)
    store(made, signature_state="invalid", network_id="forged.skadnetwork")

    page = text(made, PAGE)

    assert "4.99 USD" in page
    assert "forged.skadnetwork" in page
    assert page.count('class="pl-row"') == 2


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"signature": "invalid"}, 1),
        ({"campaign": "17"}, 1),
        ({"network": "COM.EXAMPLE"}, 3),
        ({"duplicates": "only"}, 1),
        ({"duplicates": "no"}, 3),
        ({"won": "no"}, 1),
        ({"postback": "2"}, 1),
        ({"protocol": "adattributionkit"}, 0),
        ({"event": "purchase"}, 1),
        ({"time": "1h"}, 4),
    ],
)
def test_copies_are_found_by_what_they_say(made: make.Tenant, query: dict, found: int) -> None:
    store(made, event_name="purchase", sequence=2)
    store(made, signature_state="invalid", network_id="other")
    store(made, duplicate_of=uuid.uuid4(), source_identifier="17")
    store(made, did_win=False)

    page = text(made, f"{PAGE}?{urlencode(query)}")

    assert page.count('class="pl-row"') == found


def test_a_copy_is_found_by_its_id_and_by_apples(made: make.Tenant) -> None:
    copy = store(made)
    store(made)

    pages = [
        text(made, f"{PAGE}?q={each}") for each in (copy.public_id, copy.transaction_id.upper())
    ]

    assert [page.count('class="pl-row"') for page in pages] == [1, 1]


def test_a_copy_s_page_shows_all_it_says_and_leads_to_its_event(made: make.Tenant) -> None:
    make.own_store_id(made.app, STORE_ID)
    send(GENUINE)
    send(GENUINE)
    with tenant(made.organization.pk):
        first, second = SkanPostback.objects.order_by("pk")
        event = Event.objects.get(event_name="skan_postback")

    shown = text(made, f"{PAGE}{first.pk}/change/")
    duplicate = text(made, f"{PAGE}{second.pk}/change/")

    assert GENUINE["transaction-id"] in shown
    assert f"?q={event.event_id}" in shown
    assert "First (days 0 to 2)" in shown
    assert json.dumps(GENUINE)[:40].replace('"', "&quot;") in shown
    assert "the copy that counts" in duplicate
    assert f"{PAGE}{first.pk}/change/" in duplicate


def test_what_the_filters_leave_is_exported(made: make.Tenant) -> None:
    store(made, transaction_id="wanted", least_revenue="4.99", currency="USD")
    store(made, signature_state="invalid")

    answer = sign_in(made.owner).get(f"{PAGE}export/?signature=valid")

    rows = list(csv.DictReader(io.StringIO(b"".join(answer).decode("utf-8-sig"))))
    assert [row["Transaction"] for row in rows] == ["wanted"]
    assert rows[0]["Signature"] == "Valid"


def test_another_organization_s_copies_are_not_there(made: make.Tenant) -> None:
    theirs = store(make.make_tenant("Moss Valley"))

    browser = sign_in(made.owner)

    assert 'class="pl-row"' not in browser.get(PAGE).content.decode()
    assert browser.get(f"{PAGE}{theirs.pk}/change/").status_code == 302
