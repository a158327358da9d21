"""Apple is asked about installs that brought a token, and what it claims is credited.

Only Apple's server is replaced, by a real one on loopback.
"""

import json
import multiprocessing
import os
import signal
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test import override_settings

from apps_registry.models import Partner
from apps_registry.tenancy import tenant
from postbacks import pipeline
from postbacks.delivery.http.destinations import Destinations, parse_networks
from postbacks.delivery.http.requests_transport import RequestsTransport
from postbacks.infrastructure.database import roles
from postbacks.intake.claims import apple_ads
from postbacks.models import AdServicesClaim, Install, Touchpoint
from postbacks.worker import tasks
from tests import database
from tests.events import event, record
from tests.make import Tenant, make_tenant
from tests.pipeline.conftest import Answer
from tests.workers import decide

pytestmark = pytest.mark.django_db(transaction=True)

SAID = {
    "attribution": True,
    "orgId": 1,
    "campaignId": 542370539,
    "conversionType": "Download",
    "claimType": "Click",
    "adGroupId": 2,
    "countryOrRegion": "US",
    "keywordId": 3,
}


@pytest.fixture
def gem(settings) -> Tenant:
    settings.ADSERVICES_URL = "https://apple.example/api/v1/"
    made = make_tenant()
    with tenant(made.organization.pk):
        Partner.objects.create(name="Apple Ads")
    return made


def installed(of: Tenant, **fields: object) -> None:
    record(of, event("open", **{"adservices_token": "dG9rZW4=", **fields}))
    decide()


def ask(url: str) -> bool:
    with (
        database.as_role(roles.WORKER),
        RequestsTransport(Destinations(parse_networks("127.0.0.0/8"))) as transport,
    ):
        return apple_ads.ask_about_next(transport, url)


def settle() -> None:
    with database.as_role(roles.WORKER):
        pipeline.reattribute_installs()


def waiting(of: Tenant) -> list[AdServicesClaim]:
    with tenant(of.organization.pk):
        return list(AdServicesClaim.objects.all())


def make_due(**columns: str) -> None:
    changes = ", ".join(f"{name} = {value}" for name, value in columns.items())
    with database.as_role(roles.WORKER), connection.cursor() as cursor:
        cursor.execute(f"UPDATE adservices_claim SET {changes}")


def says(status: int, **answer: object) -> Answer:
    return lambda _path, _headers: (status, {}, json.dumps(answer).encode())


def test_a_claim_is_credited_to_apple_ads_with_its_campaign(gem, partner_answering) -> None:
    apple = partner_answering(says(200, **SAID))
    installed(gem)

    assert ask(apple.url)
    settle()

    ((method, _path, headers, body),) = apple.requests
    assert (method, headers["content-type"], body) == ("POST", "text/plain", b"dG9rZW4=")
    with tenant(gem.organization.pk):
        install = Install.objects.select_related("partner").get()
        claim = Touchpoint.objects.get()
    assert (install.attribution_type, install.partner.name) == ("click", "Apple Ads")
    assert install.touchpoint == claim.public_id
    assert (claim.source, claim.params["campaign_id"]) == ("claim", "542370539")
    assert waiting(gem) == []
    assert not ask(apple.url)


def test_an_install_that_apple_does_not_claim_stays_organic(gem, partner_answering) -> None:
    apple = partner_answering(says(200, attribution=False))
    installed(gem)

    ask(apple.url)
    settle()

    with tenant(gem.organization.pk):
        assert Install.objects.get().attribution_type == "organic"
    assert waiting(gem) == []


def test_apple_is_asked_three_times_quickly_and_then_by_the_hour(gem, partner_answering) -> None:
    apple = partner_answering(says(404))
    installed(gem)
    waits = []

    for _ in range(4):
        make_due(due_at="now()")
        before = datetime.now(UTC)
        ask(apple.url)
        (claim,) = waiting(gem)
        waits.append(round((claim.due_at - before) / timedelta(seconds=5)) * 5)

    assert waits == [5, 5, 3600, 3600]
    assert len(apple.requests) == 4


def test_a_token_is_given_up_when_it_has_ended(gem, partner_answering) -> None:
    apple = partner_answering(says(200, **SAID))
    installed(gem)
    make_due(ends_at="now()")

    ask(apple.url)

    assert apple.requests == []
    assert waiting(gem) == []


def test_a_refused_token_is_final_and_a_silent_server_is_not(gem, partner_answering) -> None:
    installed(gem)

    ask("http://127.0.0.1:1/")
    assert len(waiting(gem)) == 1
    make_due(due_at="now()")
    ask(partner_answering(says(400)).url)

    assert waiting(gem) == []


def test_only_installs_with_a_token_of_those_with_a_partner_are_asked_about(gem) -> None:
    installed(gem, adservices_token=None)
    other = make_tenant("Other")
    installed(other)

    assert (waiting(gem), waiting(other)) == ([], [])


def test_without_an_address_nobody_is_asked(gem) -> None:
    with override_settings(ADSERVICES_URL=""):
        installed(gem)

    assert waiting(gem) == []


def test_a_later_event_of_the_same_device_asks_nothing(gem, ok_partner) -> None:
    installed(gem)
    ask(ok_partner.url)
    installed(gem)

    (claim,) = waiting(gem)
    assert claim.tries == 1


def test_who_is_killed_while_asking_is_replaced_and_the_claim_counts_once(
    gem, partner_answering
) -> None:
    def killing(_path: str, _headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        os.kill(asker.pid, signal.SIGKILL)
        return 200, {}, json.dumps(SAID).encode()

    apple = partner_answering(killing)
    installed(gem)
    connection.close()
    asker = multiprocessing.get_context("fork").Process(target=ask, args=[apple.url])
    asker.start()
    asker.join(20)
    (leased,) = waiting(gem)

    make_due(due_at="now()")
    ask(partner_answering(says(200, **SAID)).url)

    assert asker.exitcode == -signal.SIGKILL
    assert leased.due_at > datetime.now(UTC)
    with tenant(gem.organization.pk):
        assert Touchpoint.objects.count() == 1
    assert waiting(gem) == []


def test_the_task_asks_about_all_that_are_due(gem, settings, partner_answering) -> None:
    apple = partner_answering(says(200, attribution=False))
    settings.ADSERVICES_URL = apple.url
    settings.ALLOW_PRIVATE_DESTINATIONS = parse_networks("127.0.0.0/8")
    for number in range(3):
        installed(gem, install_id=f"device-{number}")

    with database.as_role(roles.WORKER):
        assert apple_ads.is_any_due()
        tasks.ask_apple()
        assert not apple_ads.is_any_due()

    assert len(apple.requests) == 3
    assert waiting(gem) == []


def test_the_guard_holds_for_apples_address_too(gem, settings, partner_answering) -> None:
    apple = partner_answering(says(200, **SAID))
    settings.ADSERVICES_URL = apple.url
    settings.ALLOW_PRIVATE_DESTINATIONS = ()
    installed(gem)

    with database.as_role(roles.WORKER):
        tasks.ask_apple()

    assert apple.requests == []
    assert len(waiting(gem)) == 1
