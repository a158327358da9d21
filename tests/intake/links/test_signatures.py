"""Signed clicks: what is signed, what a wrong signature costs, and who may make keys."""

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

import pytest
from django.test import Client

from apps_registry.admin_base.snippets import signed_click_snippet
from apps_registry.models import ClickSigningKey, Partner
from apps_registry.tenancy import tenant
from postbacks.intake.links import signatures
from postbacks.models import Touchpoint
from tests import make
from tests.api.calling import Program, owner_of
from tests.intake.links.opening import PHONE, Advertised, advertise

NOW = datetime(2026, 5, 4, 10, 0, tzinfo=UTC)
SECRET = "a-secret-of-the-network"
PATH = "/c/h4k9wq2mzt7c"
WHOLE = {
    "click_id": "a b+c/ü",
    "sub1": "",
    "kid": "k1",
    "exp": str(int((NOW + timedelta(hours=1)).timestamp())),
}


def _query(parameters: dict[str, str], secret: str = SECRET, path: str = PATH) -> str:
    return urlencode({**parameters, "sig": signatures.sign(secret, path, parameters)})


def test_a_signature_holds_however_the_link_is_written() -> None:
    signed = {**WHOLE, "sig": signatures.sign(SECRET, PATH, WHOLE)}
    backwards = "&".join(f"{n}={quote(v, safe='')}" for n, v in reversed(signed.items()))

    states = {
        signatures.check(PATH, query, {"k1": SECRET}, now=NOW)
        for query in (urlencode(signed), backwards)
    }

    assert states == {signatures.VALID}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("click_id=1", signatures.MISSING),
        ("click_id=1&sig=", signatures.MISSING),
        (_query({**WHOLE, "kid": "old"}), signatures.NO_KEY),
        (_query({n: v for n, v in WHOLE.items() if n != "kid"}), signatures.NO_KEY),
        (_query(WHOLE, secret="another"), signatures.INVALID),
        (_query(WHOLE, path="/c/another"), signatures.INVALID),
        (_query(WHOLE) + "&sub2=added", signatures.INVALID),
        (_query(WHOLE) + "&sub1=twice", signatures.INVALID),
        (_query(WHOLE).replace("click_id=a", "click_id=b"), signatures.INVALID),
        (_query({n: v for n, v in WHOLE.items() if n != "exp"}), signatures.INVALID),
        (_query({**WHOLE, "exp": "soon"}), signatures.INVALID),
        (_query({**WHOLE, "exp": "9" * 400}), signatures.INVALID),
        (_query({**WHOLE, "exp": str(int(NOW.timestamp()) - 1)}), signatures.EXPIRED),
        ("&".join(f"p{n}=1" for n in range(300)), signatures.INVALID),
        ("sig=%FF%00&kid=k1", signatures.INVALID),
    ],
)
def test_what_is_not_signed_has_its_name(query: str, expected: str) -> None:
    assert signatures.check(PATH, query, {"k1": SECRET}, now=NOW) == expected


@pytest.fixture
def ad(transactional_db: None) -> Advertised:
    return advertise()


def _sign(ad: Advertised, mode: str) -> ClickSigningKey:
    with tenant(ad.tenant.organization.pk):
        Partner.objects.update(click_signing=mode)
        return make.make_click_key(ad.link.campaign.partner, SECRET)


def _signed(ad: Advertised, key: ClickSigningKey, **parameters: str) -> str:
    soon = str(int((datetime.now(UTC) + timedelta(hours=1)).timestamp()))
    whole = {"click_id": "n-1", **parameters, "kid": key.kid, "exp": soon}
    return _query(whole, path=f"/c/{ad.link.token}")


@pytest.mark.parametrize(
    ("mode", "is_signed", "expected"),
    [
        ("off", False, ("", "")),
        ("report", True, ("valid", "")),
        ("report", False, ("missing_signature", "")),
        ("enforce", True, ("valid", "")),
        ("enforce", False, ("missing_signature", "incorrect_signature")),
    ],
)
def test_a_partner_decides_what_an_unsigned_click_is_worth(
    ad: Advertised, mode: str, is_signed: bool, expected: tuple[str, str]
) -> None:
    key = _sign(ad, mode)

    answer = ad.click(_signed(ad, key) if is_signed else "click_id=n-1")

    touch = ad.touchpoint()
    assert answer.status_code == 302
    assert (touch.signature, touch.refused) == expected


def test_two_keys_work_at_once_until_one_is_revoked(ad: Advertised) -> None:
    old, new = _sign(ad, "enforce"), _sign(ad, "enforce")

    ad.click(_signed(ad, old, click_id="1"))
    ad.click(_signed(ad, new, click_id="2"))
    with tenant(ad.tenant.organization.pk):
        old.revoke()
    ad.click(_signed(ad, old, click_id="3"))

    states = [touch.signature for touch in ad.touchpoints()]
    assert states == ["valid", "valid", "no_active_key"]


def test_a_networks_server_is_told_what_its_signature_is_worth(ad: Advertised) -> None:
    key = _sign(ad, "report")
    query = _signed(ad, key, s2s="1", gaid="38400000-8cf0-11bd-b23e-10b96e40000d")

    right = ad.click(query).json()
    wrong = ad.click(query.replace("n-1", "n-2")).json()

    assert (right["signature"], wrong["signature"]) == ("valid", "invalid_signature")


@pytest.mark.parametrize(("kind", "refused"), [("server", ""), ("app", "incorrect_signature")])
def test_a_key_inside_an_app_is_no_signature(ad: Advertised, kind: str, refused: str) -> None:
    _sign(ad, "enforce")
    with tenant(ad.tenant.organization.pk):
        program = Program(make.make_sdk_key(ad.link.campaign.app, kind=kind))

    program.post("touchpoints", {"link": ad.link.token, "click_id": "n-1"})

    with tenant(ad.tenant.organization.pk):
        assert Touchpoint.objects.get().refused == refused


def test_a_key_is_shown_once_and_signs(ad: Advertised) -> None:
    api = owner_of(ad.tenant)
    partner = str(ad.link.campaign.partner.public_id)
    api.patch(f"partners/{partner}", {"click_signing": "enforce"})

    made = api.post("click-signing-keys", {"partner": partner})
    printed: list[str] = []
    program = signed_click_snippet("http://testserver", made.data["kid"], made.data["secret"])
    exec(program.replace("YOUR_TOKEN", ad.link.token), {"print": printed.append})  # noqa: S102  # what the page shows

    Client().get(printed[0].removeprefix("http://testserver"), headers={"User-Agent": PHONE})
    (row,) = api.rows("click-signing-keys")
    gone = api.delete(f"click-signing-keys/{row['id']}")

    assert made.status == 201
    assert ad.touchpoint().signature == "valid"
    assert dict(parse_qsl(printed[0]))["kid"] == row["kid"]
    assert "secret" not in row
    assert gone.status == 204
    assert api.rows("click-signing-keys")[0]["revoked_at"] is not None


def test_a_page_shows_the_secret_once(ad: Advertised) -> None:
    from tests.admin.pages import sign_in, submit

    browser: Any = sign_in(ad.tenant.owner)
    form = {"partner": ad.link.campaign.partner_id}

    page = submit(browser, "/admin/apps_registry/clicksigningkey/add/", form).content.decode()
    listed = browser.get("/admin/apps_registry/clicksigningkey/").content.decode()

    with tenant(ad.tenant.organization.pk):
        key = ClickSigningKey.objects.get()
        secret = key.reveal()
    assert secret in page
    assert "a hash" not in page
    assert "Copy the program" in page
    assert "Copy the command" not in page
    assert key.kid in listed
    assert secret not in listed
