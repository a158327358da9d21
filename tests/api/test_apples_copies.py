"""Apple's copies over HTTP: devices bring them, without a key, for whoever has the app."""

import json
import threading
from copy import deepcopy
from pathlib import Path

import pytest
from django.db import connection
from django.http import HttpResponse
from django.test import Client, override_settings

from apps_registry.models import ConversionMeaning, User
from apps_registry.tenancy import tenant
from postbacks.infrastructure.database import roles
from postbacks.infrastructure.rate_limits.counting import RateLimit
from postbacks.intake.skadnetwork.recording import hand_over_copies
from postbacks.models import Event, SkanPostback, UnclaimedCopy
from tests import make
from tests.admin.pages import sign_in
from tests.api.calling import PROBLEM, owner_of, report
from tests.database import as_role

pytestmark = pytest.mark.django_db(transaction=True)

SKADNETWORK = "/.well-known/skadnetwork/report-attribution/"
ADATTRIBUTIONKIT = "/.well-known/appattribution/report-attribution/"
VECTORS = json.loads((Path(__file__).parents[1] / "intake/skadnetwork/vectors.json").read_text())[
    "vectors"
]
GENUINE = VECTORS[0]["body"]
STORE_ID = str(GENUINE["app-id"])


@pytest.fixture
def owner() -> make.Tenant:
    """An organization with the app of the published postbacks."""
    made = make.make_tenant()
    make.own_store_id(made.app, STORE_ID)
    return made


def send(body: object, path: str = SKADNETWORK, **headers: str) -> HttpResponse:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Client(enforce_csrf_checks=True).post(
        path, data, content_type="application/json", headers=headers
    )


def copies_of(made: make.Tenant) -> list[SkanPostback]:
    with tenant(made.organization.pk):
        return list(SkanPostback.objects.order_by("id"))


def events_of(made: make.Tenant) -> list[Event]:
    with tenant(made.organization.pk):
        return list(Event.objects.filter(event_name="skan_postback"))


@pytest.mark.parametrize("path", [SKADNETWORK, SKADNETWORK[:-1]])
def test_a_copy_belongs_to_the_organization_that_has_the_app(owner, path) -> None:
    other = make.make_tenant("Moss Valley")

    answer = send(GENUINE, path)

    assert answer.status_code == 200
    (copy,) = copies_of(owner)
    assert copies_of(other) == []
    assert (copy.app_id, copy.signature_state, copy.duplicate_of) == (owner.app.pk, "valid", None)
    assert (copy.protocol, copy.version, copy.network_id) == ("skadnetwork", "4.0", "com.example")
    assert (copy.conversion_value, copy.did_win, copy.redownload) == (63, True, False)
    assert json.loads(copy.body) == GENUINE


@pytest.mark.parametrize("path", [ADATTRIBUTIONKIT, ADATTRIBUTIONKIT[:-1]])
def test_a_copy_that_names_no_app_is_kept_for_the_operator(owner, path) -> None:
    answer = send({"jws-string": "a.b.c", "conversion-value": 3}, path)

    assert answer.status_code == 200
    assert copies_of(owner) == []
    assert UnclaimedCopy.objects.get().store_id == ""


def test_a_copy_of_an_unknown_app_is_kept_for_the_operator(owner) -> None:
    answer = send({**GENUINE, "app-id": 99})

    assert answer.status_code == 200
    unclaimed = UnclaimedCopy.objects.get()
    assert (unclaimed.store_id, json.loads(unclaimed.body)["app-id"]) == ("99", 99)


def test_a_copy_that_comes_again_is_a_duplicate_and_counts_once(owner) -> None:
    send(GENUINE)
    send({**GENUINE, "conversion-value": 1})  # unsigned: what came first stays

    first, second = copies_of(owner)
    assert (first.duplicate_of, second.duplicate_of) == (None, first.public_id)
    assert len(events_of(owner)) == 1


def test_a_forged_copy_never_makes_a_genuine_one_a_duplicate(owner) -> None:
    send({**GENUINE, "did-win": False})
    send({**GENUINE, "did-win": False})
    send({**GENUINE, "attribution-signature": None})
    send(GENUINE)

    forged, again, unsigned, genuine = copies_of(owner)
    assert (forged.signature_state, again.duplicate_of) == ("invalid", forged.public_id)
    assert (unsigned.signature_state, unsigned.duplicate_of) == ("unverifiable", None)
    assert (genuine.signature_state, genuine.duplicate_of) == ("valid", None)
    assert len(events_of(owner)) == 1


def test_of_copies_that_come_at_once_one_alone_counts(owner) -> None:
    def run() -> None:
        send(GENUINE)
        connection.close()

    threads = [threading.Thread(target=run) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    copies = copies_of(owner)
    firsts = {copy.public_id for copy in copies if copy.duplicate_of is None}
    assert len(copies) == 6
    assert len(firsts) == 1
    assert {copy.duplicate_of for copy in copies} == {None, *firsts}
    assert len(events_of(owner)) == 1


def test_a_genuine_copy_tells_what_its_conversion_value_meant(owner) -> None:
    with tenant(owner.organization.pk):
        meaning = ConversionMeaning.objects.create(
            app=owner.app,
            first_value=60,
            last_value=63,
            event_name="purchase",
            least_revenue="49.99",
            most_revenue="99.99",
        )

    send(GENUINE)

    with tenant(owner.organization.pk):
        meaning.delete()
    (copy,) = copies_of(owner)
    (event,) = events_of(owner)
    assert (copy.event_name, str(copy.most_revenue), copy.currency) == (
        "purchase",
        "99.990000",
        "USD",
    )
    assert event.source == "system"
    assert event.fields["skan_event"] == "purchase"
    assert event.fields["skan_source_identifier"] == "5239"
    assert event.fields["skan_did_win"] is True


def test_the_network_is_the_partner_that_has_its_id_at_apple(owner) -> None:
    with tenant(owner.organization.pk):
        partner = make.make_partner()
        partner.skadnetwork_ids = ["com.example.adattributionkit"]
        partner.save()
        campaign = make.make_campaign(owner.app, partner)
        campaign.remote_campaign_id = "5239"
        campaign.save()

    send(GENUINE)

    (copy,) = copies_of(owner)
    (event,) = events_of(owner)
    assert copy.partner_id == partner.pk
    assert event.fields["attribution"] == {
        "type": "click",
        "method": "skadnetwork",
        "partner": str(partner.public_id),
        "partner_id": partner.pk,
        "partner_name": partner.name,
        "campaign_id": "5239",
        "campaign_name": campaign.name,
    }


@pytest.mark.parametrize(
    "body", [b"", b"no", b"[]", b'"text"', b"null", b"{", b"\xff\xfe", b'{"a": NaN}', b"[" * 9000]
)
@pytest.mark.parametrize("path", [SKADNETWORK, ADATTRIBUTIONKIT])
def test_what_is_no_json_object_is_refused(path, body) -> None:
    answer = send(body, path)

    assert (answer.status_code, answer.headers["Content-Type"]) == (400, PROBLEM)


def test_a_body_that_is_too_large_is_refused() -> None:
    assert send({"app-id": "1" * 20_000}).status_code == 413
    assert send(b"x" * (6 * 1024 * 1024)).status_code == 413


@pytest.mark.parametrize(
    "change",
    [
        {"ad-network-id": "\u0000"},
        {"attribution-signature": "\u0000\u2063"},
        {"transaction-id": "\U0001f600" * 1_000},
        {"version": {"a": [1]}},
        {"version": "\u0000" * 300},
        {"app-id": GENUINE["app-id"], "redownload": [], "fidelity-type": 1.5},
    ],
)
def test_garbage_in_a_copy_is_stored_as_what_it_is(owner, change) -> None:
    answer = send({**GENUINE, **change})

    assert answer.status_code == 200
    (copy,) = copies_of(owner)
    assert copy.signature_state in {"invalid", "unverifiable"}


def test_garbage_beside_what_is_signed_is_left_out(owner) -> None:
    answer = send({**GENUINE, "conversion-value": 10**400, "country-code": "\u0000\u0000"})

    assert answer.status_code == 200
    (copy,) = copies_of(owner)
    assert (copy.signature_state, copy.conversion_value, copy.country) == ("valid", None, "")


def test_a_device_that_sends_too_much_is_told_to_wait() -> None:
    with override_settings(RATE_LIMIT_SDK_APP=RateLimit(1, 60)):
        codes = [send(GENUINE).status_code for _ in range(3)]

    assert codes == [200, 429, 429]


def test_nobody_else_can_fill_the_place_for_unknown_apps() -> None:
    with override_settings(RATE_LIMIT_UNKNOWN=RateLimit(1, 60)):
        codes = [send(deepcopy(GENUINE)).status_code for _ in range(2)]

    assert codes == [200, 429]


def test_other_methods_are_refused() -> None:
    answer = Client().get(SKADNETWORK)

    assert answer.status_code == 405


def claimed(name: str = "First", number: str = STORE_ID) -> make.Tenant:
    """An organization that has written the number down, and proven nothing."""
    made = make.make_tenant(name)
    with tenant(made.organization.pk):
        made.app.store_id = number
        made.app.save()
    return made


def hand_over() -> None:
    with as_role(roles.WORKER):
        hand_over_copies()


def claim_in_api(made: make.Tenant) -> str | None:
    return owner_of(made).get(f"apps/{made.app.public_id}").data.get("store_id_claim")


def report_another_apps_event(made: make.Tenant) -> None:
    with tenant(made.organization.pk):
        other = make.App.objects.create(name="Other", platform="ios", store_id="99")
        make.BundleId.objects.create(app=other, identifier="com.example.other")
        key = make.make_sdk_key(other)
    report(key, event_name="open")


def lose_the_bundle_id(made: make.Tenant) -> None:
    report(made.sdk_key, event_name="open")
    with tenant(made.organization.pk):
        made.bundle_id.delete()


def send_a_refused_event(made: make.Tenant) -> None:
    body = {"event_name": "open", "bundle_id": "com.example.of.somebody.else"}
    answer = Client().post(
        "/api/v1/events",
        json.dumps(body),
        content_type="application/json",
        headers={"Authorization": f"Bearer {made.sdk_key}"},
    )
    assert answer.status_code == 422


NO_PROOFS = {
    "nothing": lambda made: None,
    "an event of another app": report_another_apps_event,
    "an event that was refused": send_a_refused_event,
    "an app without a bundle ID": lose_the_bundle_id,
    "another copy": lambda made: send(VECTORS[0]["body"]),
}


@pytest.mark.parametrize("claimant_does", NO_PROOFS.values(), ids=NO_PROOFS)
def test_copies_wait_while_nothing_proves_whose_app_it_is(claimant_does) -> None:
    made = claimed()
    claimant_does(made)

    send(GENUINE)
    hand_over()

    assert copies_of(made) == []
    assert UnclaimedCopy.objects.filter(store_id=STORE_ID).exists()
    assert claim_in_api(made) == "unproven"


@pytest.mark.parametrize("is_first", [True, False])
def test_an_event_of_the_app_brings_the_copies_that_waited(is_first: bool) -> None:
    made = claimed()
    if is_first:
        report(made.sdk_key, event_name="open")
    send(GENUINE)
    waited = len(copies_of(made))
    if not is_first:
        report(made.sdk_key, event_name="open")
        hand_over()

    assert (waited, len(copies_of(made))) == (int(is_first), 1)
    assert claim_in_api(made) is None
    assert not UnclaimedCopy.objects.exists()


@pytest.fixture
def operator() -> Client:
    return sign_in(User.objects.create_superuser("operator@example.com", "correct horse"))


def decide_about(operator: Client, made: make.Tenant, decision: str) -> None:
    said = {"organization": made.organization.public_id, "store_id": STORE_ID}
    operator.post("/admin/store-ids/decide/", {**said, "decision": decision})


def words_about_copies(made: make.Tenant) -> str:
    page = f"/admin/apps_registry/app/{made.app.pk}/change/"
    return sign_in(made.owner).get(page).content.decode()


def test_the_operator_may_agree_or_give_a_strangers_claim_to_the_owner(operator: Client) -> None:
    stranger, true_owner = claimed("Stranger"), claimed("Owner")
    send(GENUINE)
    page = operator.get("/admin/store-ids/").content.decode()
    pages_app = words_about_copies(stranger)

    decide_about(operator, true_owner, "approve")
    hand_over()

    assert "Not proven: copies wait" in page
    assert "wait until the operator has decided whose app it is" in pages_app
    assert (len(copies_of(stranger)), len(copies_of(true_owner))) == (0, 1)
    assert (claim_in_api(stranger), claim_in_api(true_owner)) == ("refused", None)

    alone = claimed("Alone", "525463028")
    assert "wait until an event of this app has arrived" in words_about_copies(alone)
    send({**GENUINE, "app-id": 525463028, "transaction-id": "another"})
    decide_alone = {"organization": alone.organization.public_id, "store_id": "525463028"}
    operator.post("/admin/store-ids/decide/", {**decide_alone, "decision": "approve"})
    hand_over()

    assert (claim_in_api(alone), len(copies_of(alone))) == (None, 1)


@pytest.mark.parametrize("comes_first", ["copy", "owner"])
def test_a_strangers_event_proves_nothing_once_the_owner_claims_the_app_too(
    operator: Client, comes_first: str
) -> None:
    stranger = claimed("Stranger")
    if comes_first == "copy":
        send(GENUINE)
    true_owner = claimed("Owner")
    if comes_first == "owner":
        send(GENUINE)

    for made in (stranger, true_owner):
        report(made.sdk_key, event_name="open")
    hand_over()

    assert (copies_of(stranger), copies_of(true_owner)) == ([], [])
    assert (claim_in_api(stranger), claim_in_api(true_owner)) == ("unproven", "waiting")
    assert "until the operator has decided whose app it is" in words_about_copies(stranger)
    assert "until the operator has decided" in words_about_copies(true_owner)

    decide_about(operator, true_owner, "approve")
    hand_over()

    assert (copies_of(stranger), len(copies_of(true_owner))) == ([], 1)


def test_a_claim_that_was_proven_is_not_stopped_by_a_stranger(operator: Client) -> None:
    true_owner = claimed("Owner")
    report(true_owner.sdk_key, event_name="open")
    send(GENUINE)
    stranger = claimed("Stranger")
    report(stranger.sdk_key, event_name="open")

    send({**GENUINE, "transaction-id": "another"})
    hand_over()

    assert (len(copies_of(true_owner)), copies_of(stranger)) == (2, [])


def test_a_stranger_who_claims_again_proves_nothing_and_goes_behind_the_owner(
    operator: Client,
) -> None:
    stranger, true_owner = claimed("Stranger"), claimed("Owner")
    for number in ("", STORE_ID):
        with tenant(stranger.organization.pk):
            stranger.app.store_id = number
            stranger.app.save()
    report(stranger.sdk_key, event_name="open")
    send(GENUINE)
    hand_over()
    assert (copies_of(stranger), copies_of(true_owner)) == ([], [])

    decide_about(operator, stranger, "refuse")
    with tenant(stranger.organization.pk):
        other = make.App.objects.create(name="Other", platform="ios", store_id=STORE_ID)
        make.BundleId.objects.create(app=other, identifier="com.example.other")
        key = make.make_sdk_key(other)
    report(key, event_name="open")
    decide_about(operator, true_owner, "approve")
    hand_over()

    assert (copies_of(stranger), len(copies_of(true_owner))) == ([], 1)


def test_two_apps_of_one_organization_contest_nothing() -> None:
    made = claimed()
    with tenant(made.organization.pk):
        make.App.objects.create(name="Other", platform="ios", store_id=STORE_ID)
    report(made.sdk_key, event_name="open")
    send(GENUINE)

    assert len(copies_of(made)) == 1


def test_once_the_second_is_refused_an_event_proves_the_first_again(operator: Client) -> None:
    true_owner, stranger = claimed("Owner"), claimed("Stranger")
    send(GENUINE)
    report(true_owner.sdk_key, event_name="open")
    hand_over()
    waited = len(copies_of(true_owner))

    decide_about(operator, stranger, "refuse")
    hand_over()

    assert (waited, len(copies_of(true_owner))) == (0, 1)
