"""Meta's part of the Play store's referrer: opened with the app's key, and credited."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from apps_registry.models import App, Partner, ReferrerKey
from apps_registry.models.referrer_keys import set_referrer_key
from apps_registry.tenancy import tenant
from postbacks.intake.claims.meta_referrer import decrypt, find_sealed
from postbacks.models import Install
from postbacks.values.play_referrer import parse
from tests import make
from tests.api.calling import owner_of
from tests.events import event, record
from tests.pipeline.conftest import RecordingPartner, Run
from tests.workers import work

pytestmark = pytest.mark.django_db(transaction=True)

KEY = "0123456789abcdef" * 4
NONCE = bytes(range(12))
AD = {
    "ad_id": 77,
    "adgroup_name": "Video 15 s",
    "campaign_id": 55,
    "campaign_name": "Players 25-34",
    "campaign_group_id": 44,
    "campaign_group_name": "Summer US",
    "account_id": 33,
}


def _referrer(ad: object = AD, key: str = KEY, **content: Any) -> str:
    data = AESGCM(bytes.fromhex(key)).encrypt(NONCE, json.dumps(ad).encode(), None)
    whole = {"source": {"data": data.hex(), "nonce": NONCE.hex()}, "a": "1", "t": 0, **content}
    return f"utm_source=apps.facebook.com&utm_content={quote(json.dumps(whole))}"


def test_what_meta_has_sealed_is_opened_under_our_names() -> None:
    sealed = find_sealed(parse(_referrer(t=1_777_888_000)))

    assert sealed is not None
    assert sealed.clicked_at == datetime.fromtimestamp(1_777_888_000, UTC)
    assert decrypt(sealed, KEY) == {
        "campaign_id": "44",
        "campaign_name": "Summer US",
        "adset_id": "55",
        "adset_name": "Players 25-34",
        "ad_id": "77",
        "ad_name": "Video 15 s",
        "account_id": "33",
    }


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{}",
        "[]",
        "null",
        '{"source": 1}',
        '{"source": {"data": "zz", "nonce": "00"}}',
        '{"source": {"data": "00"}}',
        '{"source": {"data": "", "nonce": ""}, "t": 1e30}',
        "\x00",
    ],
)
def test_what_is_none_of_metas_is_none(content: str) -> None:
    assert find_sealed({"utm_content": content}) is None


@pytest.mark.parametrize("data", ["", "00", "00" * 15, "00" * 64])
def test_what_can_not_be_opened_is_no_ad(data: str) -> None:
    for nonce in ("", "00" * 12):
        content = json.dumps({"source": {"data": data, "nonce": nonce}})
        sealed = find_sealed({"utm_content": content})
        assert sealed is not None
        assert decrypt(sealed, KEY) is None


def _gem(partner: str = "Meta", key: str | None = KEY) -> make.Tenant:
    gem = make.make_tenant()
    with tenant(gem.organization.pk):
        App.objects.filter(pk=gem.app.pk).update(platform="android")
        Partner.objects.create(name=partner)
        set_referrer_key(gem.app, key)
    return gem


def _install(gem: make.Tenant, referrer: str) -> Install:
    record(gem, event("install", install_referrer=referrer, platform="android"))
    work()
    with tenant(gem.organization.pk):
        return Install.objects.select_related("partner").get()


def test_an_install_from_meta_is_credited_and_its_campaign_told(
    ok_partner: RecordingPartner, run_pump: Run
) -> None:
    gem = _gem()
    with tenant(gem.organization.pk):
        make.make_rule(
            triggers=["install"], url=f"{ok_partner.url}/?c={{{{campaign_name}}}}&ad={{{{ad_id}}}}"
        )

    referrer = _referrer(t=int((datetime.now(UTC) - timedelta(hours=1)).timestamp()))
    record(gem, event("install", install_referrer=referrer, platform="android"))
    run_pump(lambda: len(ok_partner.requests) == 1)

    with tenant(gem.organization.pk):
        install = Install.objects.select_related("partner").get()
    assert (install.partner.name, install.method) == ("Meta", "claim")
    assert ok_partner.requests[0][1] == "/?c=Summer%20US&ad=77"


@pytest.mark.parametrize(
    ("partner", "key"), [("Another", KEY), ("Meta", None), ("Meta", "ff" * 32)]
)
def test_without_partner_or_the_right_key_the_install_is_organic(
    partner: str, key: str | None
) -> None:
    install = _install(_gem(partner, key), _referrer())

    assert install.attribution_type == "organic"


def test_another_organizations_key_opens_nothing() -> None:
    gem, other = _gem(key=None), _gem()

    install = _install(gem, _referrer())

    assert install.attribution_type == "organic"
    with tenant(other.organization.pk):
        assert ReferrerKey.objects.count() == 1


def test_programs_set_the_key_and_see_its_mask() -> None:
    gem = _gem(key=None)
    api, path = owner_of(gem), f"apps/{gem.app.public_id}"

    wrong = api.patch(path, {"meta_decryption_key": "abc"})
    made = api.patch(path, {"meta_decryption_key": KEY.upper()})
    again = api.put(path, {**made.data, "name": "Renamed"})
    with tenant(gem.organization.pk):
        stored = ReferrerKey.objects.get().reveal()
    gone = api.patch(path, {"meta_decryption_key": None})

    assert (wrong.status, wrong.pointers()) == (400, ["/meta_decryption_key"])
    assert made.data["meta_decryption_key"] == "•••cdef"
    assert (again.status, again.data["meta_decryption_key"]) == (200, "•••cdef")
    assert stored == KEY
    assert gone.data["meta_decryption_key"] is None
