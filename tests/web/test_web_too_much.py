"""More than anybody needs: bodies, fields, filters and addresses without end."""

import logging
from collections.abc import Iterator

import pytest
from django.contrib import admin
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from postbacks.api.routes import router
from tests import make
from tests.admin.pages import sign_in
from tests.api.calling import PROBLEM, owner_of

pytestmark = pytest.mark.django_db(transaction=True)

FORM = "application/x-www-form-urlencoded"
IMPORT = "/admin/configuration/import/"
FORMS = ["/admin/apps_registry/app/add/", "/admin/postbacks/callbackrule/add/", IMPORT]
LISTS = [
    *(f"/admin/{model._meta.label_lower.replace('.', '/')}/" for model in admin.site._registry),
    *(f"/api/{path}" for path, view, _ in router.registry if "list" in view.rights),
]
MUCH = "x" * 6_000_000
LONG = "x" * 65_536
QUERIES = {
    "a value of 64 KB": f"name={LONG}",
    "a search of 64 KB": f"q={LONG}",
    "a name of 64 KB": LONG,
    "a cursor of 64 KB": f"cursor={LONG}&before={LONG}",
    "a filter 900 times": "&".join(["app=1"] * 900),
    "a filter 10,000 times": "&".join(["app=1"] * 10_000),
    "10,000 filters": "&".join(f"f{number}=1" for number in range(10_000)),
    "a path of 64 KB": "__".join(["app"] * 16_000) + "=1",
}


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    logging.disable(logging.ERROR)  # Django writes a traceback of each
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("path", FORMS)
def test_a_form_that_is_too_large_is_refused_by_a_page(path: str) -> None:
    browser = sign_in(make.make_tenant().owner)
    careful = Client(enforce_csrf_checks=True)
    careful.get("/accounts/login/")

    in_parts = browser.post(path, {"name": MUCH})
    at_once = browser.post(path, f"name={MUCH}", content_type=FORM)
    by_a_stranger = careful.post("/accounts/login/", {"login": MUCH})

    for answer in (in_parts, at_once, by_a_stranger):
        assert answer.status_code == 413
        assert "This is too much at once" in answer.content.decode()
        assert "postbacks/plain.css" in answer.content.decode()


@pytest.mark.parametrize("path", FORMS)
def test_a_form_of_too_many_parts_is_refused_by_a_page(path: str) -> None:
    browser = sign_in(make.make_tenant().owner)
    file = SimpleUploadedFile("a.json", b"{}")

    fields = browser.post(path, {f"f{number}": "1" for number in range(2_000)})
    files = browser.post(path, {f"f{number}": file for number in range(200)})

    for answer in (fields, files):
        assert answer.status_code == 400
        assert "This can't be taken" in answer.content.decode()
        assert "postbacks/plain.css" in answer.content.decode()


@pytest.mark.parametrize("path", ["organization/import", "apps", "callback-rules/preview"])
def test_a_body_that_is_too_large_is_refused_by_a_problem(path: str) -> None:
    answer = owner_of(make.make_tenant()).post(path, {"name": MUCH})

    assert (answer.status, answer.content_type) == (413, PROBLEM)


@pytest.mark.parametrize("path", LISTS)
def test_a_list_bears_every_query(path: str) -> None:
    made = make.make_tenant()
    visitor = sign_in(made.owner)
    visitor.defaults["HTTP_AUTHORIZATION"] = f"Bearer {made.api_token}"

    answers = {kind: visitor.get(f"{path}?{query}") for kind, query in QUERIES.items()}

    for kind, answer in answers.items():
        assert answer.status_code in {200, 302, 400, 403, 414}, kind
        assert "<h1>Bad Request" not in answer.content.decode(), kind


@pytest.mark.parametrize("path", ["/admin/", "/accounts/login/"])
def test_an_unknown_host_is_refused_by_a_page(path: str) -> None:
    answer = Client(raise_request_exception=False).get(path, headers={"Host": "else.example"})

    assert answer.status_code == 400
    assert "This can't be taken" in answer.content.decode()


@pytest.mark.parametrize("host", ["else.example", "a b", "evil.example:99999", "[::1"])
@pytest.mark.parametrize("path", ["/admin/", "/api/v1/apps", "/c/anything", "/nothing"])
def test_a_wrong_host_writes_one_line_and_no_traceback(path: str, host: str, caplog) -> None:
    logging.disable(logging.NOTSET)

    answer = Client(raise_request_exception=False).get(path, headers={"Host": host})

    assert answer.status_code in {400, 404}
    assert "Traceback" not in caplog.text


def test_what_a_caller_sends_wrongly_writes_no_traceback(caplog) -> None:
    logging.disable(logging.NOTSET)
    client = Client(raise_request_exception=False)

    client.post("/accounts/login/", {f"f{number}": "1" for number in range(2_000)})
    client.post("/accounts/login/", "x", content_type="multipart/form-data; boundary=\xe9")
    client.post("/accounts/login/", f"login={MUCH}", content_type=FORM)
    client.cookies["sessionid"] = "x" * 5_000
    client.get("/accounts/login/")

    assert "Traceback" not in caplog.text
