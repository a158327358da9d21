"""Partner templates and translations of the management API."""

import pytest

from apps_registry.roles import Role
from tests import make
from tests.api.calling import owner_of, program_of

pytestmark = pytest.mark.django_db(transaction=True)


def test_all_templates_are_listed_on_one_page() -> None:
    answer = owner_of(make.make_tenant()).get("partner-templates")

    assert answer.status == 200
    assert (answer.data["next"], answer.data["previous"]) == (None, None)
    names = [row["name"] for row in answer.data["results"]]
    assert {"unity-ads", "meta", "tiktok", "adjust", "slack", "own-server-json"} <= set(names)


def test_a_template_says_what_it_asks_and_how_far_it_is_verified() -> None:
    answer = owner_of(make.make_tenant()).get("partner-templates/applovin")

    assert answer.status == 200
    assert answer.data["verification"]["state"] == "old"
    assert answer.data["credentials"][0]["name"] == "sdk_key"
    assert answer.data["allowed_hosts"] == ["rt.applovin.com"]
    assert answer.data["rules"][0]["events"][0] == {"ours": "install", "theirs": "install"}


def test_an_unknown_template_is_not_there() -> None:
    api = owner_of(make.make_tenant())

    assert api.get("partner-templates/nothing").status == 404
    assert api.get("partner-templates", group="MMP").status == 400
    assert api.post("partner-templates", {}).status == 405


def test_a_template_gives_a_partner_and_a_rule_that_can_be_posted() -> None:
    api = program_of(Role.MARKETER, make.make_tenant())
    template = api.get("partner-templates/tiktok").data

    partner = api.post(
        "partners",
        {
            "name": "TikTok",
            "template": "tiktok",
            "credentials": {"access_token": "t", "tiktok_app_id": "7"},
        },
    )
    rule = api.post(
        "callback-rules",
        {"name": "TikTok", "partner": partner.data["id"], **template["rules"][0]["definition"]},
    )

    assert partner.status == 201, partner.data
    assert partner.data["template"] == "tiktok"
    assert partner.data["allowed_hosts"] == ["business-api.tiktok.com"]
    assert partner.data["missing_credentials"] == []
    assert rule.status == 201, rule.data
    assert rule.data["event_map"]["purchase"] == "Purchase"


def test_every_definition_of_a_template_is_taken_as_a_rule() -> None:
    api = owner_of(make.make_tenant())

    for template in api.rows("partner-templates"):
        if template["asks_address"]:
            continue
        secrets = {credential["name"]: "x" for credential in template["credentials"]}
        named = {"name": template["name"], "template": template["name"], "credentials": secrets}
        partner = api.post("partners", named).data
        for rule in template["rules"]:
            name = f"{template['name']} {rule['title']}"
            body = {"name": name, "partner": partner["id"], **rule["definition"]}
            answer = api.post("callback-rules", body)
            assert answer.status == 201, (name, answer.data)


def test_credentials_that_a_template_asks_for_are_named_while_they_are_missing() -> None:
    api = owner_of(make.make_tenant())

    made = api.post("partners", {"name": "Meta", "template": "meta"}).data
    filled = api.patch(f"partners/{made['id']}", {"credentials": {"dataset_id": "1"}}).data

    assert made["missing_credentials"] == ["dataset_id", "access_token"]
    assert filled["missing_credentials"] == ["access_token"]


def test_a_template_is_chosen_once() -> None:
    api = owner_of(make.make_tenant())
    made = api.post("partners", {"name": "Meta", "template": "meta"}).data

    other = api.patch(f"partners/{made['id']}", {"template": "tiktok"})
    same = api.put(f"partners/{made['id']}", {"name": "Meta Ads", "template": "meta"})

    assert (other.status, other.pointers()) == (400, ["/template"])
    assert same.status == 200


def test_an_unknown_template_is_refused_with_the_nearest() -> None:
    answer = owner_of(make.make_tenant()).post("partners", {"name": "A", "template": "tiktock"})

    assert (answer.status, answer.pointers()) == (400, ["/template"])
    assert "tiktok" in answer.details()


def test_a_template_opens_no_other_hosts_to_a_marketer() -> None:
    api = program_of(Role.MARKETER, make.make_tenant())

    answer = api.post(
        "partners", {"name": "A", "template": "meta", "allowed_hosts": ["evil.example.com"]}
    )

    assert answer.status == 403
    assert api.rows("partners") == []


def test_an_owner_may_say_other_hosts_than_the_template() -> None:
    api = owner_of(make.make_tenant())

    answer = api.post(
        "partners", {"name": "A", "template": "meta", "allowed_hosts": ["graph.example.com"]}
    )

    assert answer.data["allowed_hosts"] == ["graph.example.com"]


def test_a_url_is_translated() -> None:
    api = program_of(Role.ANALYST, make.make_tenant())

    answer = api.post(
        "callback-rules/translate",
        {"url": "https://a.example.com/?i={gps_adid}&l={label}", "vendor": "auto"},
    )

    assert answer.status == 200
    assert answer.data["vendor"] == "adjust"
    assert answer.data["certainty"] == "certain"
    assert answer.data["url"] == "https://a.example.com/?i={{gaid}}&l="
    assert answer.data["translated"] == [{"theirs": "{gps_adid}", "ours": "{{gaid}}"}]
    assert answer.data["untranslated"] == [{"theirs": "{label}", "why": "We have no macro for it."}]


def test_a_url_that_no_tool_alone_writes_is_read_with_the_words_that_many_share() -> None:
    answer = owner_of(make.make_tenant()).post(
        "callback-rules/translate",
        {"url": "https://t.example.com/?clickid={click_id}&payout={payout}&amount={revenue}"},
    )

    assert (answer.data["vendor"], answer.data["certainty"]) == ("generic", "guess")
    assert answer.data["url"] == (
        "https://t.example.com/?clickid={{click_id}}&payout={{payout||revenue}}&amount={{revenue}}"
    )


def test_each_url_of_a_pasted_list_is_translated_and_what_was_done_is_said() -> None:
    pasted = "Postbacks:\n1. https://a.com/?i=%7Bidfa%7D&amp;n=1\n2. https://b.com/?p={payout}\n"

    answer = owner_of(make.make_tenant()).post(
        "callback-rules/translate", {"url": pasted, "vendor": "everflow"}
    )

    assert answer.data["url"] == "https://a.com/?i={{idfa}}&n=1"
    assert [other["url"] for other in answer.data["others"]] == [
        "https://b.com/?p={{payout||revenue}}"
    ]
    assert "first of 2" in answer.data["notes"][0]


def test_a_url_without_placeholders_has_no_vendor() -> None:
    answer = owner_of(make.make_tenant()).post(
        "callback-rules/translate", {"url": "https://a.example.com/"}
    )

    assert answer.data["vendor"] is None
    assert answer.data["url"] == "https://a.example.com/"


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/url"),
        ({"url": "https://a.example.com/", "vendor": "airbridge"}, "/vendor"),
        ({"url": "https://a.example.com/", "from": "adjust"}, "/from"),
        ({"url": "x" * 9000}, "/url"),
    ],
)
def test_a_wrong_translation_is_refused(body: dict[str, str], pointer: str) -> None:
    answer = owner_of(make.make_tenant()).post("callback-rules/translate", body)

    assert (answer.status, answer.pointers()) == (400, [pointer])
