"""Secrets in the admin: shown once or never."""

import re
from datetime import UTC, datetime

import pytest
from django.test import Client

from apps_registry.crypto import keys
from apps_registry.models import ApiToken, App, Organization, PartnerCredential, SdkKey
from apps_registry.roles import Role
from apps_registry.tenancy import tenant
from tests import make
from tests.admin.pages import sign_in, submit

pytestmark = pytest.mark.django_db(transaction=True)


def _new_sdk_key(browser: Client, app: App) -> tuple[str, str]:
    """Make a key and return the page that shows it, and the secret on it."""
    form = {"app": app.pk, "name": "Unity build", "kind": "app"}
    page = submit(browser, "/admin/apps_registry/sdkkey/add/", form).content.decode()
    match = re.search(r"pbk_[\w-]{43}", page)
    return page, match.group() if match else ""


def test_a_new_sdk_key_is_shown_once_and_works() -> None:
    made = make.make_tenant()
    browser = sign_in(made.owner)

    page, secret = _new_sdk_key(browser, made.app)
    later = browser.get("/admin/apps_registry/sdkkey/", follow=True).content.decode()

    assert f">{secret}</pre>" in page
    assert f"Bearer {secret}" in page
    assert secret not in later
    with tenant(made.organization.pk):
        stored = SdkKey.objects.get(name="Unity build")
        assert stored.hash == keys.hash_key(secret)
        assert stored.prefix in later


def test_the_page_that_shows_a_secret_is_kept_by_nobody() -> None:
    made = make.make_tenant()

    answer = submit(
        sign_in(made.owner),
        "/admin/apps_registry/apitoken/add/",
        {"name": "nightly export", "role": Role.ANALYST},
    )

    assert "pbt_" in answer.content.decode()
    assert "no-store" in answer.headers["Cache-Control"]
    assert "pbt_" not in str(answer.cookies)


def test_a_new_api_token_gets_the_role_that_was_chosen() -> None:
    made = make.make_tenant()

    submit(
        sign_in(made.owner),
        "/admin/apps_registry/apitoken/add/",
        {"name": "nightly export", "role": Role.ANALYST},
    )

    with tenant(made.organization.pk):
        assert ApiToken.objects.get(name="nightly export").role == Role.ANALYST


def test_no_page_shows_a_hash() -> None:
    made = make.make_tenant()
    browser = sign_in(made.owner)
    with tenant(made.organization.pk):
        key = SdkKey.objects.get()

    pages = [
        browser.get("/admin/apps_registry/sdkkey/"),
        browser.get(f"/admin/apps_registry/sdkkey/{key.pk}/change/"),
    ]

    assert not any(key.hash in page.content.decode() for page in pages)


def test_the_address_bar_answers_no_questions_about_a_hash() -> None:
    made = make.make_tenant()

    answer = sign_in(made.owner).get("/admin/apps_registry/sdkkey/?hash__startswith=a")

    assert answer.status_code == 400


def test_a_key_is_revoked_after_a_question() -> None:
    made = make.make_tenant()
    browser = sign_in(made.owner)
    with tenant(made.organization.pk):
        key = SdkKey.objects.get()
    chosen = {"action": "revoke", "_selected_action": key.pk}

    question = browser.post("/admin/apps_registry/sdkkey/", chosen)
    browser.post("/admin/apps_registry/sdkkey/", {**chosen, "confirmed": "yes"})

    assert "stops working at once" in question.content.decode()
    with tenant(made.organization.pk):
        assert SdkKey.objects.get().revoked_at is not None


def test_a_credential_is_set_with_its_partner_and_never_shown() -> None:
    made = make.make_tenant()
    browser = sign_in(made.owner)
    inline = {"credentials-TOTAL_FORMS": "1", "credentials-0-name": "api_key"}

    submit(
        browser,
        "/admin/apps_registry/partner/add/",
        {"name": "Unity Ads", **inline, "credentials-0-secret": " a secret, spaces included "},
    )

    with tenant(made.organization.pk):
        credential = PartnerCredential.objects.get()
        assert credential.reveal() == " a secret, spaces included "
    page = browser.get(f"/admin/apps_registry/partner/{credential.partner_id}/change/")
    assert "a secret" not in page.content.decode()
    assert credential.sealed not in page.content.decode()
    assert credential.masked in page.content.decode()


def test_a_credential_stays_when_its_input_is_left_empty_and_is_replaced_when_it_is_not() -> None:
    made = make.make_tenant()
    browser = sign_in(made.owner)
    with tenant(made.organization.pk):
        partner = make.make_partner(credentials={"api_key": "first"})
    page = f"/admin/apps_registry/partner/{partner.pk}/change/"

    submit(browser, page, {"name": "Renamed"})
    with tenant(made.organization.pk):
        kept = partner.credentials.get().reveal()
    submit(browser, page, {"credentials-0-secret": "second"})

    assert kept == "first"
    with tenant(made.organization.pk):
        assert partner.credentials.get().reveal() == "second"


def test_a_credential_keeps_its_name_because_rules_use_it() -> None:
    made = make.make_tenant()
    with tenant(made.organization.pk):
        partner = make.make_partner(credentials={"api_key": "first"})

    submit(
        sign_in(made.owner),
        f"/admin/apps_registry/partner/{partner.pk}/change/",
        {"credentials-0-name": "renamed", "credentials-0-secret": "second"},
    )

    with tenant(made.organization.pk):
        credential = partner.credentials.get()
        assert (credential.name, credential.reveal()) == ("api_key", "second")


def test_a_new_credential_needs_a_secret() -> None:
    made = make.make_tenant()

    answer = submit(
        sign_in(made.owner),
        "/admin/apps_registry/partner/add/",
        {"name": "Unity Ads", "credentials-TOTAL_FORMS": "1", "credentials-0-name": "api_key"},
    )

    assert "This field is required." in answer.content.decode()


def test_an_analyst_sees_that_there_is_a_credential_and_no_input_for_it() -> None:
    made = make.make_tenant()
    with tenant(made.organization.pk):
        partner = make.make_partner(credentials={"api_key": "a-secret-of-some-length"})
    analyst = make.make_user(Role.ANALYST, organization=made.organization)

    page = sign_in(analyst).get(f"/admin/apps_registry/partner/{partner.pk}/change/")

    assert "•••ngth" in page.content.decode()
    assert 'type="password"' not in page.content.decode()


def test_a_tokens_expiry_is_written_and_shown_in_the_organizations_zone() -> None:
    made = make.make_tenant()
    Organization.objects.filter(pk=made.organization.pk).update(time_zone="Europe/Berlin")
    browser = sign_in(made.owner)

    submit(
        browser,
        "/admin/apps_registry/apitoken/add/",
        {"name": "until spring", "role": Role.ANALYST, "expires_at": "2027-01-31T10:00"},
    )

    with tenant(made.organization.pk):
        token = ApiToken.objects.get(name="until spring")
    assert token.expires_at == datetime(2027, 1, 31, 9, tzinfo=UTC)
    page = browser.get(f"/admin/apps_registry/apitoken/{token.pk}/change/").content.decode()
    assert 'value="2027-01-31T10:00"' in page
