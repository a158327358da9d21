"""Keys and tokens as machines hold them, and as we keep them."""

import pytest
from django.utils import timezone

from apps_registry.crypto import keys
from apps_registry.models import ApiToken, SdkKey
from apps_registry.tenancy import tenant
from tests import make


def test_a_key_says_what_it_is_and_is_long_enough_not_to_be_guessed() -> None:
    fresh = keys.make_key(keys.SDK_KEY)

    assert fresh.secret.startswith("pbk_")
    assert len(fresh.secret) >= 4 + 43  # 256 bits in base64


def test_two_keys_are_never_the_same() -> None:
    secrets = {keys.make_key(keys.API_TOKEN).secret for _ in range(100)}

    assert len(secrets) == 100


def test_what_is_stored_of_a_key_does_not_hold_it() -> None:
    fresh = keys.make_key(keys.SDK_KEY)

    assert fresh.hash == keys.hash_key(fresh.secret)
    assert fresh.secret.startswith(fresh.prefix)
    assert len(fresh.prefix) == 10
    assert fresh.secret[10:] not in fresh.hash


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", [SdkKey, ApiToken])
def test_a_key_is_revoked_once_and_for_all(kind: type[SdkKey] | type[ApiToken]) -> None:
    made = make.make_tenant()

    with tenant(made.organization.pk):
        key = kind.objects.get()
        key.revoke()
        first = key.revoked_at
        key.revoke()
        stored = kind.objects.get().revoked_at

    assert first is not None
    assert first <= timezone.now()
    assert stored == first
