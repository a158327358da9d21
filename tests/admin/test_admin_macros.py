"""The catalogue is one: what is checked, offered, explained and answered is the same list."""

import html
import re

import pytest
from django.test import Client

from apps_registry.models import User
from apps_registry.roles import Role
from postbacks.admin.rules.macro_catalogue import macro_groups
from postbacks.callbacks.macros import CATALOGUE, FILTERS, RequestTemplate, compile_request
from postbacks.callbacks.macros.sources import SOURCES
from postbacks.callbacks.macros.vendors import vendor_names
from tests.admin.pages import sign_in
from tests.api.calling import owner_of, program_of
from tests.make import make_tenant, make_user

pytestmark = pytest.mark.django_db(transaction=True)

PAGE = "/admin/postbacks/callbackrule/macros/"


@pytest.fixture
def analyst() -> User:
    return make_user(Role.ANALYST, organization=make_tenant().organization)


@pytest.fixture
def page(analyst: User) -> Client:
    return sign_in(analyst)


def shown(client: Client, search: str = "") -> list[str]:
    text = client.get(PAGE, {"q": search} if search else {}).content.decode()
    return re.findall(r'<div class="macros-line" id="(\w+)">', text)


def test_checks_builder_page_and_api_have_the_same_macros(page: Client) -> None:
    program = owner_of(make_tenant("Other"))
    everything = "&".join(f"p{at}={{{{{name}}}}}" for at, name in enumerate(CATALOGUE))

    halves = everything.split("&")
    accepted = {
        name
        for part in (halves[:120], halves[120:])
        for name in compile_request(
            RequestTemplate("GET", "https://a.com/?" + "&".join(part))
        ).macros
    }
    offered = [macro.text for group in macro_groups() for macro in group.macros]
    answered = program.get("macros").data

    names = list(CATALOGUE)
    assert accepted == set(names) == set(SOURCES)
    assert offered == ["{{" + name + "}}" for name in names]
    assert shown(page) == names
    assert [row["name"] for row in answered["results"]] == names
    assert [row["name"] for row in answered["filters"]] == list(FILTERS)


def test_the_api_answers_what_the_catalogue_says() -> None:
    answer = owner_of(make_tenant()).get("macros").data

    for row in answer["results"]:
        macro = CATALOGUE[row["name"]]
        assert (row["group"], row["type"]) == (macro.group.value, macro.type.value)
        assert (row["description"], row["example"]) == (macro.description, macro.example)
        assert row["platforms"] == list(macro.platforms)
        assert (row["personal"], row["money"]) == (macro.personal, macro.money)
        assert row["elsewhere"] == {
            vendor: list(names) for vendor, names in vendor_names(macro.name).items()
        }
    (idfa,) = (row for row in answer["results"] if row["name"] == "idfa")
    assert idfa["elsewhere"]["adjust"][0] == "{idfa}"
    assert idfa["elsewhere"]["branch"] == ["${(user_data.idfa)!}"]
    assert "(idfa)" in idfa["elsewhere"]["appsflyer"]


def test_the_api_s_macros_can_be_narrowed_to_a_group_and_a_platform() -> None:
    program = program_of(Role.ANALYST, make_tenant())

    ids = program.rows("macros", group="Device IDs", platform="android")

    assert {row["group"] for row in ids} == {"Device IDs"}
    assert "gaid" in {row["name"] for row in ids}
    assert not {"idfa", "idfv"} & {row["name"] for row in ids}
    assert program.get("macros", group="Nothing").status == 400


def test_the_page_explains_each_macro(page: Client) -> None:
    text = html.unescape(page.get(PAGE).content.decode())

    for macro in CATALOGUE.values():
        assert macro.description in text
        assert macro.example in text


@pytest.mark.parametrize(
    ("search", "found", "not_found"),
    [
        ("idfv", "idfv", "gaid"),
        ("{gps_adid}", "gaid", "idfa"),
        ("(af_siteid)", "site_id", "campaign_id"),
        ("us dollars", "revenue_usd_gross", "idfa"),
        ("Branch kindle", "amazon_id", "idfa"),
    ],
)
def test_the_page_finds_a_macro_by_any_of_its_names(
    page: Client, search: str, found: str, not_found: str
) -> None:
    names = shown(page, search)

    assert found in names
    assert not_found not in names


def test_a_search_that_finds_nothing_says_so_and_is_shown_as_text(page: Client) -> None:
    text = page.get(PAGE, {"q": "<script>"}).content.decode()

    assert "0 macros found for “&lt;script&gt;”" in text
    assert "<script>”" not in text


def test_the_sidebar_leads_to_the_page(page: Client) -> None:
    assert f'href="{PAGE}"' in page.get("/admin/").content.decode()


def test_a_stranger_is_sent_to_sign_in() -> None:
    assert Client().get(PAGE).status_code == 302
