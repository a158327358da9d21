"""Every list can be taken away as a file: what it shows, under its filters, and nothing else."""

import csv
import gc
import io

import pytest
from django.contrib import admin
from django.db import connection, models
from django.test import Client
from django.utils import timezone

from apps_registry import csv_format
from apps_registry.models import App, Organization, Partner
from apps_registry.roles import Right, Role
from apps_registry.tenancy import tenant
from postbacks.infrastructure.database import roles
from postbacks.models import CallbackRule, Postback
from tests import make
from tests.admin.logs import LOG, add_postbacks, seconds_ago
from tests.admin.pages import sign_in
from tests.database import as_role
from tests.isolation.story import MARKER, Story, live_through, mark

pytestmark = pytest.mark.django_db(transaction=True)

PAGES = sorted(admin.site._registry, key=lambda model: model._meta.label)
_BYTES = "\N{ZERO WIDTH NO-BREAK SPACE}"


def _export(browser: Client, address: str) -> list[dict[str, str]]:
    answer = browser.get(address)
    assert answer.status_code == 200, answer.status_code
    text = b"".join(answer.streaming_content).decode()
    assert text.startswith(_BYTES)
    return list(csv.DictReader(io.StringIO(text.removeprefix(_BYTES), newline="")))


def _page(model: type[models.Model]) -> str:
    return f"/admin/{model._meta.app_label}/{model._meta.model_name}/"


@pytest.mark.parametrize("role", Role.values)
@pytest.mark.parametrize("model", PAGES, ids=lambda model: model._meta.label)
def test_every_list_has_the_button_and_the_file(
    story: Story, model: type[models.Model], role: str
) -> None:
    member = make.make_user(role, organization=story.tenant.organization)
    with tenant(story.organization_id):
        make.make_api_token(role, user=member)  # of tokens, members see their own
    browser = sign_in(member)

    page = browser.get(_page(model)).content.decode()
    rows = _export(browser, f"{_page(model)}export/")

    assert f'href="{_page(model)}export/' in page
    assert len(rows) >= 1
    assert None not in rows[0].values()


def test_the_filters_of_the_address_count(story: Story) -> None:
    browser = sign_in(story.tenant.owner)
    add_postbacks(story, seconds_ago(1, 2, 3), status="delivered")
    add_postbacks(story, seconds_ago(4, 5), status="pending")
    with tenant(story.organization_id):
        App.objects.create(name="Moss Valley", platform="android")

    page = browser.get(f"{LOG}?status=pending").content.decode()
    pending = _export(browser, f"{LOG}export/?status=pending")
    found = _export(browser, "/admin/apps_registry/app/export/?q=moss")
    archived = _export(browser, "/admin/apps_registry/app/export/?status__exact=archived")

    assert f'href="{LOG}export/?status=pending"' in page
    assert [row["Status"] for row in pending] == ["Pending", "Pending"]
    assert [row["Name"] for row in found] == ["Moss Valley"]
    assert archived == []


@pytest.mark.parametrize(
    "address", [f"{LOG}export/?q=nonsense", "/admin/apps_registry/app/export/?nonsense=1"]
)
def test_filters_that_cannot_be_read_lead_back_to_the_list(story: Story, address: str) -> None:
    answer = sign_in(story.tenant.owner).get(address)

    assert answer.status_code == 302
    assert answer["Location"].startswith(address.split("export/")[0])


def test_a_rule_is_exported_with_all_its_events_and_times_in_utc(story: Story) -> None:
    with tenant(story.organization_id):
        names = [f"event_{number}" for number in range(9)]
        CallbackRule.objects.update(triggers=names)
        rule = CallbackRule.objects.get()

    (row,) = _export(sign_in(story.tenant.owner), "/admin/postbacks/callbackrule/export/")

    assert row["ID"] == str(rule.public_id)
    assert row["Events"] == ", ".join(names)
    assert row["Status"] == "Active"
    assert row["Updated"] == csv_format.format_cell(rule.updated_at)


def test_names_that_are_formulas_or_markup_are_texts(story: Story) -> None:
    with tenant(story.organization_id):
        Partner.objects.update(name='=HYPERLINK("x")<b>&amp;</b>')
        App.objects.update(name='"><div x-data="alert(1)">')
    browser = sign_in(story.tenant.owner)

    (partner,) = _export(browser, "/admin/apps_registry/partner/export/")
    (app,) = _export(browser, "/admin/apps_registry/app/export/")

    assert partner["Name"] == '\'=HYPERLINK("x")<b>&amp;</b>'
    assert app["Name"] == '"><div x-data="alert(1)">'


@pytest.mark.parametrize("model", PAGES, ids=lambda model: model._meta.label)
def test_no_secret_and_no_hash_is_in_a_file(story: Story, model: type[models.Model]) -> None:
    with connection.cursor() as cursor, tenant(story.organization_id):
        cursor.execute("SELECT hash FROM sdk_key UNION SELECT hash FROM api_token")
        hashes = [str(bytes(row[0]) if not isinstance(row[0], str) else row[0]) for row in cursor]

    file = str(_export(sign_in(story.tenant.owner), f"{_page(model)}export/"))

    hidden = ["a-secret-of-some-length", story.tenant.sdk_key, story.tenant.api_token, *hashes]
    assert not [field for field in hidden if field in file]
    assert "hash" not in file.lower()


@pytest.mark.parametrize("model", PAGES, ids=lambda model: model._meta.label)
def test_a_file_holds_nothing_of_others(story: Story, model: type[models.Model]) -> None:
    mark(live_through("Somebody else"))

    file = str(_export(sign_in(story.tenant.owner), f"{_page(model)}export/"))

    assert MARKER not in file


def test_who_may_only_read_has_no_button_and_no_file(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("apps_registry.roles.RIGHTS", {Role.OWNER: frozenset({Right.READ})})
    browser = sign_in(story.tenant.owner)

    pages = [browser.get(page).content.decode() for page in (LOG, "/admin/apps_registry/app/")]
    refused = [browser.get(f"{_page(model)}export/").status_code for model in PAGES]

    sidebar = 'href="/admin/postbacks/export/"'  # the list of exports, which everybody may read
    assert not [page for page in pages if "export/" in page.replace(sidebar, "")]
    assert refused == [403] * len(PAGES)


def test_a_file_is_only_read(story: Story) -> None:
    browser = sign_in(story.tenant.owner)

    assert browser.post(f"{LOG}export/").status_code == 403


def test_the_file_is_named_by_organization_and_day(story: Story) -> None:
    Organization.objects.filter(pk=story.organization_id).update(name='Gem "Harbor"\r\nX: y')

    answer = sign_in(story.tenant.owner).get(f"{LOG}export/")

    day = f"{timezone.now():%Y-%m-%d}"
    name = f'attachment; filename="postbacks-gem-harbor-x-y-{day}.csv"'
    assert answer["Content-Disposition"] == name
    assert "no-store" in answer["Cache-Control"]


@pytest.mark.parametrize("page", [LOG, "/admin/apps_registry/app/"])
def test_a_cut_file_says_so(story: Story, page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_format, "MAX_ROWS", 2)
    monkeypatch.setattr(csv_format, "CHUNK_SIZE", 1)
    add_postbacks(story, seconds_ago(1, 2, 3))
    with tenant(story.organization_id):
        for number in range(3):
            App.objects.create(name=f"App {number}", platform="ios")

    rows = _export(sign_in(story.tenant.owner), f"{page}export/")

    assert len(rows) == 3
    assert "rows are in this file" in next(iter(rows[-1].values()))


def test_fifty_thousand_rows_are_read_and_sent_in_portions(story: Story) -> None:
    browser = sign_in(story.tenant.owner)
    _copy_postbacks(story, 50_000)
    before = _postbacks_in_memory()  # other tests may have left some

    sent, in_memory = 0, []
    for number, portion in enumerate(browser.get(f"{LOG}export/").streaming_content):
        sent += portion.count(b"\r\n")
        if number % 10 == 1:  # to look takes longer than to export
            in_memory.append(_postbacks_in_memory() - before)

    assert sent == 50_002  # with the one of the story, and the names of the columns
    assert len(in_memory) == 6
    assert max(in_memory) <= 2 * csv_format.CHUNK_SIZE


def _postbacks_in_memory() -> int:
    gc.collect()
    return sum(
        type(obj) is Postback for obj in gc.get_objects()
    )  # a dead proxy raises in isinstance


def _copy_postbacks(story: Story, count: int) -> None:
    kept = {"id", "public_id", "event_received_at", "event_id"}
    columns = [f.column for f in Postback._meta.concrete_fields if f.column not in kept]
    names = ", ".join(columns)
    with as_role(roles.WORKER), tenant(story.organization_id), connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO postback (public_id, event_received_at, event_id, {names}) "
            "SELECT gen_random_uuid(), date_trunc('milliseconds', now()) - n * interval '1 ms', "
            f"n + (SELECT max(event_id) FROM postback), {names} "
            "FROM (SELECT * FROM postback ORDER BY id LIMIT 1) AS one, "
            f"generate_series(1, {count}) AS n"
        )
