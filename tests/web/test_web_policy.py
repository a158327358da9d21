"""What every answer says to browsers: nothing inline runs, nothing is framed, nothing leaves."""

import pytest
from django.contrib.staticfiles import finders
from django.test import Client

from tests import make
from tests.admin.pages import sign_in
from tests.isolation.routes import swept_routes

pytestmark = pytest.mark.django_db(transaction=True)

PLAIN = ["/healthz", "/nowhere", "/api/docs/", "/api/docs", "/api/schema/", "/api/v1/apps", "/"]


def _policy(answer) -> dict[str, str]:
    rules = (rule.strip().partition(" ") for rule in answer["Content-Security-Policy"].split(";"))
    return {name: sources for name, _, sources in rules}


@pytest.mark.parametrize(
    "path", [*PLAIN, "/admin/", "/admin/nowhere/", "/static/postbacks/kit.css"]
)
def test_every_answer_has_a_policy_that_allows_nothing_by_default(path: str) -> None:
    answer = Client().get(path)

    answer.close()
    policy = _policy(answer)
    assert policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'"
    assert "unsafe-inline" not in answer["Content-Security-Policy"]
    assert "camera=()" in answer["Permissions-Policy"]
    assert answer["X-Content-Type-Options"] == "nosniff"


def test_only_the_admin_evaluates_texts() -> None:
    browser = sign_in(make.make_tenant().owner)

    admin = [r.template for r in swept_routes() if r.template.startswith("/admin/")]
    themed = {browser.get(path)["Content-Security-Policy"] for path in admin if "%" not in path}
    others = {browser.get(path)["Content-Security-Policy"] for path in PLAIN}

    assert any("script-src 'self' 'unsafe-eval'" in policy for policy in themed)
    assert not any("unsafe-eval" in policy for policy in others)


@pytest.mark.parametrize("path", ["/api/v1/apps", "/healthz", "/api/schema/"])
def test_what_is_no_page_may_do_nothing_at_all(path: str) -> None:
    answer = Client().get(path)

    assert set(_policy(answer)) == {"default-src", "base-uri", "form-action", "frame-ancestors"}


def test_a_mistake_of_ours_has_a_policy_too(monkeypatch: pytest.MonkeyPatch) -> None:
    browser = sign_in(make.make_tenant().owner)

    monkeypatch.setattr("postbacks.admin_site.overview_context", None)
    answer = browser.get("/admin/")

    assert answer.status_code == 500
    assert "Something went wrong" in answer.content.decode()
    assert _policy(answer)["default-src"] == "'none'"


def test_a_page_is_closed_to_frames_and_to_other_windows() -> None:
    answer = sign_in(make.make_tenant().owner).get("/admin/")

    assert answer["X-Frame-Options"] == "DENY"
    assert answer["Cross-Origin-Opener-Policy"] == "same-origin"
    assert answer["Referrer-Policy"] == "same-origin"


def test_passkeys_work_on_our_own_pages_only() -> None:
    answer = Client().get("/admin/login/")

    assert "publickey-credentials-get=(self)" in answer["Permissions-Policy"]
    assert "publickey-credentials-create=(self)" in answer["Permissions-Policy"]


def test_the_pages_of_the_api_hold_no_script_and_no_style() -> None:
    page = Client().get("/api/docs/").content.decode()

    assert "<style" not in page
    assert page.count("<script") == page.count("<script src=") == 2
    assert finders.find("postbacks/api_docs.js")
