"""The page of signing secrets."""

import pytest

from apps_registry.models import AuditEntry, SigningSecret
from apps_registry.models.signing import ensure_signing_secret
from apps_registry.roles import Role
from apps_registry.tenancy import tenant
from tests import make
from tests.admin.pages import sign_in, submit

pytestmark = pytest.mark.django_db(transaction=True)

LIST = "/admin/apps_registry/signingsecret/"


def test_an_owner_makes_a_new_secret_and_the_one_before_ends_later() -> None:
    made = make.make_tenant()
    with tenant(made.organization.pk):
        before = ensure_signing_secret()

    answer = submit(sign_in(made.owner), f"{LIST}add/", {"overlap": "168"})

    assert answer.status_code == 302
    with tenant(made.organization.pk):
        newest, oldest = SigningSecret.objects.all()
        assert (newest.expires_at, oldest.pk) == (None, before.pk)
        assert oldest.is_valid
        assert newest.reveal() != oldest.reveal()


def test_owners_show_a_secret_and_nobody_else() -> None:
    made = make.make_tenant()
    marketer = make.make_user(Role.MARKETER, organization=made.organization)
    with tenant(made.organization.pk):
        secret = ensure_signing_secret()
        text = secret.reveal()
    chosen = {"action": "show", "_selected_action": [secret.pk]}

    shown = sign_in(made.owner).post(LIST, chosen)
    hidden = sign_in(marketer).post(LIST, chosen, follow=True)
    pages = [sign_in(made.owner).get(path) for path in (LIST, f"{LIST}{secret.pk}/change/")]

    assert text in shown.content.decode()
    assert "no-store" in shown["Cache-Control"]
    assert text not in hidden.content.decode()
    assert [page.status_code for page in pages] == [200, 200]
    assert not any(text in page.content.decode() for page in pages)


def test_the_audit_log_knows_who_was_shown_a_secret() -> None:
    made = make.make_tenant()
    with tenant(made.organization.pk):
        secret = ensure_signing_secret()

    sign_in(made.owner).post(LIST, {"action": "show", "_selected_action": [secret.pk]})

    with tenant(made.organization.pk):
        entry = AuditEntry.objects.get(action="shown")
    assert (entry.actor_name, entry.object_id) == (made.owner.email, str(secret.public_id))
    assert entry.changes == {}


def test_marketers_see_that_there_is_a_secret_and_make_none() -> None:
    made = make.make_tenant()
    marketer = make.make_user(Role.MARKETER, organization=made.organization)
    with tenant(made.organization.pk):
        secret = ensure_signing_secret()

    page = sign_in(marketer).get(LIST)
    refused = sign_in(marketer).get(f"{LIST}add/")

    assert str(secret) in page.content.decode()
    assert refused.status_code == 403
