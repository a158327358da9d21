"""Callback rules hear of Apple's copies: valid ones, once, with all they say."""

from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import pytest

from apps_registry.models import ConversionMeaning
from apps_registry.tenancy import tenant
from tests import make
from tests.api.test_apples_copies import GENUINE, STORE_ID, send
from tests.events import postbacks_of
from tests.pipeline.conftest import RecordingPartner

pytestmark = pytest.mark.django_db(transaction=True)

QUERY = (
    "?network={{ad_network}}&campaign={{skan_source_identifier}}&won={{skan_did_win}}"
    "&event={{skan_event}}&least={{skan_least_revenue}}&value={{skan_conversion_value}}"
    "&type={{event_type}}&tx={{skan_transaction_id}}&state={{skan_signature_state}}"
    "&store={{store_id}}&payload={{skan_payload}}"
)


@pytest.fixture
def owner() -> make.Tenant:
    made = make.make_tenant()
    make.own_store_id(made.app, STORE_ID)
    with tenant(made.organization.pk):
        ConversionMeaning.objects.create(
            app=made.app,
            first_value=60,
            last_value=63,
            event_name="purchase",
            least_revenue="49.99",
        )
    return made


def test_a_partner_hears_of_a_copy_once(
    owner: make.Tenant, ok_partner: RecordingPartner, run_pump: Callable[..., None]
) -> None:
    with tenant(owner.organization.pk):
        make.make_rule(f"{ok_partner.url}/skan{QUERY}", triggers=["skan_postback"])
        make.make_rule(f"{ok_partner.url}/other", triggers=["install"])

    send({**GENUINE, "did-win": False})
    send({**GENUINE, "attribution-signature": None})
    for _ in range(3):
        send(GENUINE)
    run_pump(lambda: bool(ok_partner.requests))

    ((_, path, _, _),) = ok_partner.requests
    sent = {name: values[0] for name, values in parse_qs(urlsplit(path).query).items()}
    payload = sent.pop("payload")
    assert len(postbacks_of(owner)) == 1
    assert '"ad-network-id": "com.example"' in payload
    assert sent.pop("network")
    assert sent == {
        "campaign": "5239",
        "won": "true",
        "event": "purchase",
        "least": "49.99",
        "value": "63",
        "type": "skan_postback",
        "tx": GENUINE["transaction-id"],
        "state": "valid",
        "store": STORE_ID,
    }


def test_a_rule_that_withholds_revenue_does_not_tell_what_a_value_earned(
    owner: make.Tenant, ok_partner: RecordingPartner, run_pump: Callable[..., None]
) -> None:
    with tenant(owner.organization.pk):
        make.make_rule(
            f"{ok_partner.url}/skan?least={{{{skan_least_revenue}}}}&event={{{{skan_event}}}}",
            triggers=["skan_postback"],
            send_revenue=False,
        )

    send(GENUINE)
    run_pump(lambda: bool(ok_partner.requests))

    ((_, path, _, _),) = ok_partner.requests
    assert path == "/skan?least=&event=purchase"


@pytest.mark.parametrize("ending", [".skadnetwork", ".adattributionkit", ""])
def test_a_copy_is_the_partners_whom_apple_calls_so(
    owner: make.Tenant,
    ok_partner: RecordingPartner,
    run_pump: Callable[..., None],
    ending: str,
) -> None:
    with tenant(owner.organization.pk):
        partner, other = make.make_partner("Unity Ads"), make.make_partner()
        partner.skadnetwork_ids = [f"com.example{ending}"]
        partner.save()
        for of in (partner, other):
            make.make_rule(
                f"{ok_partner.url}/{of.pk}?network={{{{ad_network}}}}",
                triggers=["skan_postback"],
                partner=of,
                attribution_scope="partner",
            )

    send(GENUINE)
    run_pump(lambda: bool(ok_partner.requests))

    ((_, path, _, _),) = ok_partner.requests
    network = parse_qs(urlsplit(path).query)["network"]
    assert path.startswith(f"/{partner.pk}?")
    assert network == [partner.name]
    assert len(postbacks_of(owner)) == 1
