"""Secrets at rest: bound to their place, and never in a message."""

from base64 import urlsafe_b64encode

import pytest
from pytest_django import Settings

from apps_registry.crypto.encryption import SecretUnreadableError, decrypt, encrypt
from apps_registry.models import Partner, PartnerCredential
from apps_registry.tenancy import tenant
from tests import make

SECRET = "correct-horse-battery-staple"
OLD = urlsafe_b64encode(b"o" * 32).decode()
NEW = urlsafe_b64encode(b"n" * 32).decode()


@pytest.fixture(autouse=True)
def _keys(settings: Settings) -> None:
    settings.FIELD_ENCRYPTION_KEYS = {"old": OLD}


def test_a_secret_comes_back_as_it_was() -> None:
    stored = encrypt(SECRET, context="1:partner_credential:2:api_key")

    assert decrypt(stored, context="1:partner_credential:2:api_key") == SECRET
    assert SECRET not in stored


def test_the_same_secret_is_never_stored_twice_alike() -> None:
    stored = {encrypt(SECRET, context="here") for _ in range(10)}

    assert len(stored) == 10


@pytest.mark.parametrize(
    "elsewhere",
    ["2:partner_credential:2:api_key", "1:partner_credential:3:api_key", "1:partner:2:api_key"],
)
def test_a_secret_that_was_moved_can_not_be_opened(elsewhere: str) -> None:
    stored = encrypt(SECRET, context="1:partner_credential:2:api_key")

    with pytest.raises(SecretUnreadableError):
        decrypt(stored, context=elsewhere)


def test_a_new_key_encrypts_while_the_old_one_still_opens(settings: Settings) -> None:
    before = encrypt(SECRET, context="here")
    settings.FIELD_ENCRYPTION_KEYS = {"new": NEW, "old": OLD}

    after = encrypt(SECRET, context="here")

    assert before.startswith("old:")
    assert after.startswith("new:")
    assert decrypt(before, context="here") == decrypt(after, context="here") == SECRET


def test_a_secret_whose_key_is_gone_says_which_key(settings: Settings) -> None:
    stored = encrypt(SECRET, context="here")
    settings.FIELD_ENCRYPTION_KEYS = {"new": NEW}

    with pytest.raises(SecretUnreadableError, match="“old” is not in FIELD_ENCRYPTION_KEYS"):
        decrypt(stored, context="here")


@pytest.mark.parametrize("damage", ["", "ff", "zz", "old:"])
def test_a_damaged_secret_is_refused_without_being_quoted(damage: str) -> None:
    stored = encrypt(SECRET, context="here")[:20] + damage

    with pytest.raises(SecretUnreadableError) as refusal:
        decrypt(stored, context="here")

    assert stored not in str(refusal.value)


@pytest.mark.django_db(transaction=True)
def test_a_credential_shows_its_end_at_most() -> None:
    made = make.make_tenant()

    with tenant(made.organization.pk):
        partner = make.make_partner(credentials={"api_key": SECRET, "pin": "0000-1111"})
        long, short = partner.credentials.order_by("name")

        assert (long.masked, short.masked) == ("•••aple", "•••")
        assert SECRET not in repr(long) + str(vars(long))
        assert long.reveal() == SECRET


@pytest.mark.django_db(transaction=True)
def test_a_credential_copied_to_another_partner_can_not_be_opened() -> None:
    made = make.make_tenant()

    with tenant(made.organization.pk):
        ours = make.make_partner(credentials={"api_key": SECRET})
        theirs = make.make_partner()
        stolen = PartnerCredential.objects.create(
            partner=theirs, name="api_key", sealed=ours.credentials.get().sealed
        )

        with pytest.raises(SecretUnreadableError):
            stolen.reveal()


@pytest.mark.django_db(transaction=True)
def test_a_credential_is_replaced_and_removed_by_name() -> None:
    made = make.make_tenant()

    with tenant(made.organization.pk):
        partner = make.make_partner(credentials={"api_key": "first", "pin": "0000"})
        Partner.objects.get(pk=partner.pk).set_credentials({"api_key": "second", "pin": None})
        (left,) = partner.credentials.all()

        assert (left.name, left.reveal()) == ("api_key", "second")
