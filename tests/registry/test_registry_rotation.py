"""Keys are changed by one command, which may be interrupted and never shows a secret."""

import ast
import os
from base64 import urlsafe_b64encode
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.socialaccount.models import SocialApp, SocialToken
from django.apps import apps
from django.conf import settings as configured
from django.core.management import CommandError, call_command
from django.test import Client
from pytest_django import Settings

from apps_registry.key_rotation import rotate, sealed_models
from apps_registry.models import Partner, PartnerCredential
from apps_registry.models.signing import ensure_signing_secret
from apps_registry.tenancy import tenant
from postbacks.models import TestSend
from tests import make
from tests.accounts.people import code_of, sign_in_by_form

pytestmark = pytest.mark.django_db(transaction=True)

SECRET = "correct-horse-battery-staple"
OLD = urlsafe_b64encode(b"o" * 32).decode()
NEW = urlsafe_b64encode(b"n" * 32).decode()
ENTER = "/accounts/second-factor/enter/"
# Empty tables of allauth: providers stand in the settings, and what they give is not kept.
NEVER_FILLED = {SocialApp, SocialToken}
GONE_IN_A_MINUTE = {TestSend}  # a test whose key has gone since fails, and says so


def partners_with_secrets(*names: str) -> list[Partner]:
    made = []
    for name in names:
        organization = make.make_tenant(name).organization
        with tenant(organization.pk):
            made.append(make.make_partner(credentials={"api_key": SECRET, "pin": "0000"}))
    return made


def sealed(partner: Partner) -> list[str]:
    with tenant(partner.organization_id):
        return list(partner.credentials.order_by("name").values_list("sealed", flat=True))


def revealed(partner: Partner) -> list[str]:
    with tenant(partner.organization_id):
        return [credential.reveal() for credential in partner.credentials.order_by("name")]


def test_every_organizations_secrets_are_sealed_with_the_new_key(settings: Settings) -> None:
    settings.FIELD_ENCRYPTION_KEYS = {"old": OLD}
    partners = partners_with_secrets("Gem Harbor", "Moss Valley")
    settings.FIELD_ENCRYPTION_KEYS = {"new": NEW, "old": OLD}
    output = StringIO()

    call_command("rotate_encryption_keys", stdout=output)

    assert "Sealed 4 secrets anew" in output.getvalue()
    assert "The key “old” seals nothing any more" in output.getvalue()
    settings.FIELD_ENCRYPTION_KEYS = {"new": NEW}
    assert [revealed(partner) for partner in partners] == [[SECRET, "0000"]] * 2


def test_signing_secrets_are_sealed_anew_as_well(settings: Settings) -> None:
    settings.FIELD_ENCRYPTION_KEYS = {"old": OLD}
    organization = make.make_organization()
    with tenant(organization.pk):
        before = ensure_signing_secret().reveal()
    settings.FIELD_ENCRYPTION_KEYS = {"new": NEW, "old": OLD}

    rotate()

    settings.FIELD_ENCRYPTION_KEYS = {"new": NEW}
    with tenant(organization.pk):
        assert ensure_signing_secret().reveal() == before


def test_second_factors_are_asked_for_as_before(settings: Settings) -> None:
    settings.FIELD_ENCRYPTION_KEYS = {"old": OLD}
    owner = make.make_tenant().owner
    secret = make.make_second_factor(owner)
    codes = RecoveryCodes.activate(owner).get_unused_codes()
    settings.FIELD_ENCRYPTION_KEYS = {"new": NEW, "old": OLD}

    rotation = rotate(batch=1)

    settings.FIELD_ENCRYPTION_KEYS = {"new": NEW}
    assert (rotation.resealed, rotation.by_key) == (2, {"new": 2})
    for code in (code_of(secret), codes[3]):
        browser = Client()
        sign_in_by_form(owner, browser)
        assert browser.post(ENTER, {"code": code}).url == "/admin/"
    left = RecoveryCodes(Authenticator.objects.get(type="recovery_codes")).get_unused_codes()
    assert left == [code for code in codes if code != codes[3]]


def test_a_second_factor_whose_key_is_gone_is_named_and_never_shown(settings: Settings) -> None:
    settings.FIELD_ENCRYPTION_KEYS = {"lost": OLD}
    owner = make.make_tenant().owner
    secret = make.make_second_factor(owner)
    settings.FIELD_ENCRYPTION_KEYS = {"new": NEW}

    with pytest.raises(CommandError) as refusal:
        call_command("rotate_encryption_keys", stdout=StringIO())

    assert f"{owner.email}, second factor “totp”" in str(refusal.value)
    assert secret not in str(refusal.value)


def test_a_second_time_changes_nothing(settings: Settings) -> None:
    settings.FIELD_ENCRYPTION_KEYS = {"new": NEW, "old": OLD}
    (partner,) = partners_with_secrets("Gem Harbor")
    before = sealed(partner)

    rotation = rotate()

    assert (rotation.resealed, rotation.by_key) == (0, {"new": 2})
    assert sealed(partner) == before


def test_rotation_goes_on_where_it_was_interrupted(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.FIELD_ENCRYPTION_KEYS = {"old": OLD}
    partners = partners_with_secrets("Gem Harbor", "Moss Valley")
    settings.FIELD_ENCRYPTION_KEYS = {"new": NEW, "old": OLD}
    monkeypatch.setattr(os, "urandom", _for_three_times(os.urandom))

    with pytest.raises(KeyboardInterrupt):
        rotate(batch=1)
    monkeypatch.undo()
    rotation = rotate(batch=1)

    assert rotation.resealed == 1
    assert [revealed(partner) for partner in partners] == [[SECRET, "0000"]] * 2


def test_a_secret_whose_key_is_gone_is_named_and_never_shown(settings: Settings) -> None:
    settings.FIELD_ENCRYPTION_KEYS = {"lost": OLD}
    (partner,) = partners_with_secrets("Gem Harbor")
    settings.FIELD_ENCRYPTION_KEYS = {"new": NEW}

    with pytest.raises(CommandError) as refusal:
        call_command("rotate_encryption_keys", stdout=StringIO())

    message = str(refusal.value)
    assert (
        f"organization “{partner.organization}”, partner “{partner}”, credential “pin”" in message
    )
    assert "The key “lost” is not in FIELD_ENCRYPTION_KEYS" in message
    assert SECRET not in message
    assert sealed(partner)[0] not in message


def test_an_unreadable_secret_keeps_no_other_from_being_sealed(settings: Settings) -> None:
    settings.FIELD_ENCRYPTION_KEYS = {"old": OLD}
    broken, fine = partners_with_secrets("Gem Harbor", "Moss Valley")
    with tenant(broken.organization_id):
        PartnerCredential.objects.filter(name="pin").update(sealed="old:00")
    settings.FIELD_ENCRYPTION_KEYS = {"new": NEW, "old": OLD}
    output = StringIO()

    with pytest.raises(CommandError, match="1 secrets can't be read"):
        call_command("rotate_encryption_keys", stdout=output)

    assert "The key “old” must stay: 1 secrets" in output.getvalue()
    assert all(secret.startswith("new:") for secret in sealed(fine))


def test_every_column_that_looks_sealed_is_rotated() -> None:
    looks_sealed = {
        model
        for model in apps.get_models()
        for field in model._meta.concrete_fields
        if any(word in field.name for word in ("sealed", "secret", "encrypted", "cipher"))
    }

    assert looks_sealed == {*sealed_models(), *NEVER_FILLED, *GONE_IN_A_MINUTE}
    assert PartnerCredential in looks_sealed


def test_only_rows_that_are_rotated_are_sealed() -> None:
    """A new caller of the encryption must be listed here, and be covered by the rotation."""
    named = {
        str(path.relative_to(configured.BASE_DIR))
        for package in ("apps_registry", "postbacks")
        for path in (configured.BASE_DIR / package).rglob("*.py")
        if _seals(path)
    }

    assert named == {
        "apps_registry/crypto/encryption.py",
        "apps_registry/models/sealed.py",
        "postbacks/rulebook/test_send.py",
    }


def _for_three_times(random_bytes: Callable[[int], bytes]) -> Callable[[int], bytes]:
    """Give random bytes for three secrets, then have the operator press Ctrl-C."""
    left = iter(range(3))

    def urandom(size: int) -> bytes:
        if next(left, None) is None:
            raise KeyboardInterrupt
        return random_bytes(size)

    return urandom


def _seals(path: Path) -> bool:
    return any(
        isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == "encrypt"
        for node in ast.walk(ast.parse(path.read_text()))
    )
