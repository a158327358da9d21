"""Columns and saved views of the logs: remembered for a person, shared with the organization."""

from collections.abc import Mapping

import pytest
from django.test import Client

from apps_registry.models import AuditEntry, User
from apps_registry.roles import Role
from apps_registry.tenancy import tenant
from postbacks.insights import saved_views
from postbacks.models import SavedView
from tests import make
from tests.admin.pages import sign_in
from tests.api.calling import Program, owner_of, report
from tests.workers import decide_all

pytestmark = pytest.mark.django_db(transaction=True)

LIST = "/admin/postbacks/postback/"
LISTS = [f"/admin/{label.replace('.', '/')}/" for label in saved_views.LISTS.values()]


@pytest.fixture
def gem() -> make.Tenant:
    made = make.make_tenant()
    make.make_tenant_rule(made, name="To the network")
    report(made.sdk_key, event_name="purchase", install_id="d-1")
    decide_all()
    return made


def choose(browser: Client, path: str = LIST, **fields: object) -> str:
    """Send one of the list's forms; return where it leads."""
    answer = browser.post(f"{path}views/", fields)
    assert answer.status_code == 302
    return str(answer["Location"])


def page(browser: Client, path: str = LIST) -> str:
    answer = browser.get(path)
    assert answer.status_code == 200
    return str(answer.content.decode())


def save(browser: Client, **fields: object) -> str:
    return choose(browser, do="save", **fields)


def test_columns_are_remembered_for_a_person_alone(gem: make.Tenant) -> None:
    owner, other = (
        sign_in(person)
        for person in (gem.owner, make.make_user(Role.ANALYST, organization=gem.organization))
    )

    choose(owner, do="columns", column=["ID", "gone with an update"])

    assert '<th scope="col">ID</th>' in page(owner)
    assert "gone with an update</th>" not in page(owner)
    assert "Delivered after" in page(other)
    choose(owner, do="usual")
    assert "Delivered after" in page(owner)


def test_what_no_page_sends_is_kept_out(gem: make.Tenant) -> None:
    browser = sign_in(gem.owner)

    choose(browser, do="columns", column=["ID", "\0", "x" * 2_000])
    choose(browser, do="delete", view="9" * 5_000)

    with tenant(gem.organization.pk):
        assert SavedView.objects.get().columns == ["ID"]


@pytest.mark.parametrize("path", LISTS)
def test_every_log_has_columns_to_choose(gem: make.Tenant, path: str) -> None:
    browser = sign_in(gem.owner)
    shown = page(browser, path)
    names = shown.split('name="column" value="')[1:]
    every = [name.split('"')[0].replace("&#x27;", "'") for name in names]

    choose(browser, path, do="columns", column=every)

    assert page(browser, path).count("checked") >= len(set(every))


def test_a_view_keeps_filters_and_columns_but_no_id(gem: make.Tenant) -> None:
    browser = sign_in(gem.owner)
    query = "status=failed&q=0198c0de-7e57-7000-8000-000000000001&text=anna&foreign=1"

    back = save(browser, name="Failed", query=query, column=["ID"])

    assert "status=failed" in back
    assert "foreign" not in back
    with tenant(gem.organization.pk):
        (view,) = SavedView.objects.all()
    assert (view.filters, view.columns, view.is_shared) == ("status=failed", ["ID"], False)
    assert "?status=failed&amp;column=ID" in page(browser)
    opened = page(browser, f"{LIST}?{view.filters}&column=ID")
    assert "Nothing found" in opened


def test_a_view_keeps_its_order(gem: make.Tenant) -> None:
    browser = sign_in(gem.owner)
    report(gem.sdk_key, event_name="registration", install_id="d-1")
    decide_all()

    save(browser, name="Waits longest", query="status=pending&order=oldest")

    shown = page(browser)
    assert "?status=pending&amp;order=oldest" in shown
    assert shown.index(">registration<") < shown.index(">purchase<")
    opened = page(browser, f"{LIST}?status=pending&order=oldest")
    assert opened.index(">purchase<") < opened.index(">registration<")


def test_a_shared_view_is_everybodys_and_stays_when_its_creator_leaves(gem: make.Tenant) -> None:
    analyst = make.make_user(Role.ANALYST, organization=gem.organization)
    marketer = make.make_user(Role.MARKETER, organization=gem.organization)
    save(sign_in(analyst), name="Own", query="")
    save(sign_in(analyst), name="All <b>failures</b>", query="status=failed", shared="on")

    analyst.memberships.all().delete()

    shown = page(sign_in(marketer))
    assert "All &lt;b&gt;failures" in shown
    assert "Own</bdi>" not in shown
    with tenant(gem.organization.pk):
        shared = SavedView.objects.get(is_shared=True)
        assert AuditEntry.objects.filter(object_name__startswith="shared view All").exists()
    choice = {"do": "delete", "view": shared.pk}
    assert sign_in(marketer).post(f"{LIST}views/", choice).status_code == 403
    choose(sign_in(gem.owner), **choice)
    with tenant(gem.organization.pk):
        assert not SavedView.objects.filter(is_shared=True).exists()


@pytest.mark.parametrize(
    "stored",
    [
        {"filters": "rule=99999999&app=x&gone=1", "columns": ["gone"]},
        {"filters": "%%%&=&status=nothing", "columns": {"a": 1}},
        {"filters": "since=yesterday", "columns": [1, None, ["x"]]},
    ],
)
def test_what_a_view_names_and_is_gone_does_no_harm(
    gem: make.Tenant, stored: Mapping[str, object]
) -> None:
    with tenant(gem.organization.pk):
        SavedView.objects.create(
            list_name="postbacks.postback", name="Old", is_shared=True, **stored
        )
    browser = sign_in(gem.owner)

    shown = page(browser)
    address = shown.split('class="pl-chip" href="')[1].split('"')[0].replace("&amp;", "&")

    assert page(browser, f"{LIST}{address}")


def test_views_are_bounded(gem: make.Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saved_views, "MOST_OF_PERSON", 2)
    browser = sign_in(gem.owner)
    for name in ("A", "B", "B", "C", "", "x" * 200):
        save(browser, name=name, query="")

    with tenant(gem.organization.pk):
        assert sorted(SavedView.objects.values_list("name", flat=True)) == ["A", "B"]
    assert "as many as may be" in page(browser)


def test_programs_save_and_delete_views(gem: make.Tenant) -> None:
    organization = owner_of(gem)
    with tenant(gem.organization.pk):
        person = Program(make.make_api_token(Role.ANALYST, user=_analyst(gem)))
    view = {"list": "events", "name": "Purchases", "filters": {"event": "purchase", "q": "x"}}

    refused = organization.post("saved-views", view)
    shared = organization.post("saved-views", {**view, "shared": True, "columns": ["App"]})
    own = person.post("saved-views", view)

    assert refused.status == 409
    assert (shared.status, own.status) == (201, 201)
    assert shared.data["filters"] == {"event": "purchase"}
    assert (shared.data["list"], shared.data["columns"]) == ("events", ["App"])
    assert len(person.rows("saved-views", list="events")) == 2
    assert [row["shared"] for row in organization.rows("saved-views")] == [True]
    assert organization.get(f"saved-views/{own.data['id']}").status == 404
    assert person.delete(f"saved-views/{shared.data['id']}").status == 403
    assert person.delete(f"saved-views/{own.data['id']}").status == 204
    assert organization.delete(f"saved-views/{shared.data['id']}").status == 204


def _analyst(gem: make.Tenant) -> User:
    return make.make_user(Role.ANALYST, organization=gem.organization)
