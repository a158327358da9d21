"""Remarks on rules that send nothing, or nothing worth having, without any error."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from postbacks.callbacks.facts import sample_facts
from postbacks.callbacks.lint import KnownEvents, RuleWarning, WarningCode, lint
from postbacks.callbacks.lint.audience import _NONE_IF_ORGANIC as NONE_IF_ORGANIC
from postbacks.callbacks.macros import BodyType
from postbacks.callbacks.rules.definition import RuleDefinition
from postbacks.callbacks.values import macro_values
from postbacks.values.attribution import AttributionFacts
from tests.callbacks.test_lint import AT
from tests.callbacks.test_lint import _rule as rule

ORGANIC, NOBODY = WarningCode.EMPTY_FOR_ORGANIC, WarningCode.NO_PARTNER
SEEN = KnownEvents(("purchase", "open", "level_up", "trial-started"))
CLICK = f"{AT}?c={{{{click_id}}}}&p={{{{revenue}}}}"


def found(definition: RuleDefinition, known: KnownEvents | None = None) -> list[RuleWarning]:
    kinds = {
        *(ORGANIC, NOBODY, WarningCode.UNKNOWN_EVENT, WarningCode.NOT_MAPPED),
        *(WarningCode.REVENUE_WITHHELD, WarningCode.SENDS_NOTHING, WarningCode.NO_CURRENCY),
    }
    return [remark for remark in lint(definition, known_events=known) if remark.code in kinds]


def asking(field: str, operator: str, value: object, join: str = "all") -> dict[str, object]:
    return {"conditions": {join: [{"field": field, "operator": operator, "value": value}]}}


@pytest.mark.parametrize(
    "macro",
    [
        *("click_id", "click.sub1", "sub3", "site_id", "campaign_id", "campaign_name", "gclid"),
        *("creative_name", "engaged_at_ms", "click_time", "tracker_name", "click_id_md5"),
        *("match_type", "adset_id", "campaign_name_upper", "click_id|upper", "click_id||sub1"),
    ],
)
def test_what_only_a_click_has_is_warned_of_in_a_rule_for_everyone(macro: str) -> None:
    remarks = found(rule(f"{AT}?a={{{{{macro}}}}}"))

    assert (remarks[0].field, remarks[0].fix) == ("attribution_scope", "any_attributed")
    assert remarks[0].code == ORGANIC
    assert "organic installs" in remarks[0].message


def test_the_remedies_are_a_narrower_scope_and_a_required_click_id() -> None:
    scope, macro = found(rule(CLICK, partner_id=7))

    assert (scope.field, scope.length, scope.fix) == ("attribution_scope", 8, "partner")
    assert (macro.field, macro.fix) == ("url", "{{click_id!}}")
    assert CLICK[macro.position : macro.position + macro.length] == "{{click_id}}"
    assert found(rule(CLICK, partner_id=7, attribution_scope="partner")) == []
    assert found(rule(CLICK.replace("{{click_id}}", macro.fix or ""))) == []


def test_headers_and_bodies_are_looked_at_too() -> None:
    header = found(rule(headers={"X-Click": "{{click_id}}"}))
    body = found(rule(method="POST", body_type=BodyType.JSON, body='{"c": {{click.sub1}}}'))

    assert [remark.field for remark in header] == ["attribution_scope", "headers.X-Click"]
    assert [remark.field for remark in body] == ["attribution_scope", "body"]


@pytest.mark.parametrize(
    "fields",
    [
        {"attribution_scope": "any_attributed"},
        {"url": f"{AT}?c={{{{click_id!}}}}&s={{{{site_id}}}}"},
        {"url": f"{AT}?c={{{{click_id||'none'}}}}"},
        {"url": f'{AT}?c={{{{click_id|default:"none"}}}}'},
        {"url": f"{AT}?c={{{{click_id||params.cid}}}}"},
        {"url": f"{AT}?n={{{{ad_network}}}}&o={{{{is_organic}}}}&t={{{{attribution_type}}}}"},
        {"url": f"{AT}?p={{{{payout}}}}"},
        {"triggers": ("reengagement", "reattribution")},
        {"triggers": ("skan_postback",)},
        {"triggers": ("rejected_install",)},
        asking("is_organic", "=", "false"),
        asking("is_attributed", "=", True),
        asking("attribution_type", "in", ["click", "impression"]),
        asking("attribution_type", "≠", "Organic"),
        asking("ad_network", "≠", "organic"),
        asking("click_id", "exists", True),
        asking("click.sub1", "exists", True),
        asking("campaign_name", "=", "Summer"),
        asking("is_attributed", "=", True, join="any"),
    ],
)
def test_where_no_organic_install_can_come_nothing_is_said(fields: dict[str, object]) -> None:
    assert found(rule(**{"url": CLICK, **fields})) == []  # type: ignore[arg-type]  # a table


@pytest.mark.parametrize(
    "fields",
    [
        {"triggers": ("reengagement", "install")},
        asking("is_organic", "=", "true"),
        asking("revenue", ">", 1),
        asking("ad_network", "≠", "Unity Ads"),
        asking("click_id", "exists", False),
        {
            "conditions": {
                "any": [
                    {"field": "click_id", "operator": "exists"},
                    {"field": "revenue", "operator": ">", "value": 1},
                ]
            }
        },
    ],
)
def test_a_condition_that_lets_organic_installs_pass_changes_nothing(
    fields: dict[str, object],
) -> None:
    assert [remark.code for remark in found(rule(CLICK, **fields))] == [ORGANIC, ORGANIC]


def test_organic_installs_beside_the_partners_have_no_click_either() -> None:
    scope, macro = found(rule(CLICK, partner_id=7, attribution_scope="partner_and_organic"))

    assert (scope.fix, macro.fix) == ("partner", "{{click_id!}}")


def test_the_macros_of_a_click_are_those_without_a_value_in_an_organic_install() -> None:
    sample = sample_facts()
    touched = datetime(2026, 1, 12, tzinfo=UTC)
    parameters = dict.fromkeys(NONE_IF_ORGANIC, "1767225600")
    names = ("partner_name", "campaign_id", "campaign_name", "site_id", "click_id", "creative_name")
    earned = AttributionFacts(
        type="click",
        method="referrer",
        touched_at=touched,
        click=parameters,  # type: ignore[arg-type]  # by name
        **dict.fromkeys(names, "1"),  # type: ignore[arg-type]  # by name
    )
    seen = replace(earned, type="impression")

    organic = set(macro_values(replace(sample, attribution=AttributionFacts())))
    credited = set(macro_values(replace(sample, attribution=earned)))
    viewed = set(macro_values(replace(sample, attribution=seen)))

    assert (credited | viewed) - organic == NONE_IF_ORGANIC - {"impression_time", "click_time"} | {
        *("impression_time", "click_time")
    }


@pytest.mark.parametrize(
    ("fields", "place", "fix"),
    [
        ({"triggers": ("purchse",)}, "triggers.0", "purchase"),
        ({"triggers": ("install", "Purchase")}, "triggers.1", "purchase"),
        ({"triggers": ("levelup",)}, "triggers.0", "level_up"),
        ({"triggers": ("trial_started",)}, "triggers.0", "trial-started"),
        ({"triggers": ("instal",)}, "triggers.0", "install"),
        ({"triggers": ("re-engagement",)}, "triggers.0", "reengagement"),
        ({"triggers": ("af_complete_registration_v2",)}, "triggers.0", None),
        (
            {"triggers": ("purchase",), "event_map": {"purchase": "p", "lvl_up": "l"}},
            "event_map.lvl_up",
            "level_up",
        ),
        ({**asking("event_name", "=", "purchse")}, "conditions.all.0.value", "purchase"),
        (
            {**asking("event_name", "in", ["purchase", "open", "levelup"])},
            "conditions.all.0.value.2",
            "level_up",
        ),
    ],
)
def test_a_name_that_no_event_had_is_named_with_the_nearest(
    fields: dict[str, object], place: str, fix: str | None
) -> None:
    (remark,) = found(rule(**fields), SEEN)  # type: ignore[arg-type]  # a table

    assert (remark.field, remark.code, remark.fix) == (place, WarningCode.UNKNOWN_EVENT, fix)
    assert "No event was named" in remark.message
    assert fix is None or f"Did you mean {fix}?" in remark.message


def test_a_standard_name_that_the_app_spells_otherwise_is_named() -> None:
    (remark,) = found(rule(triggers=("purchase",)), KnownEvents(("Purchase", "open")))

    assert remark.fix == "Purchase"


@pytest.mark.parametrize(
    "triggers",
    [
        ("*",),
        ("install", "reinstall", "reattribution", "reengagement", "open", "purchase"),
        ("registration", "skan_postback", "rejected_install", "attribution_updated"),
        ("level_up", "trial-started"),
    ],
)
def test_known_and_standard_names_are_not_doubted(triggers: tuple[str, ...]) -> None:
    assert found(rule(triggers=triggers), SEEN) == []


@pytest.mark.parametrize(
    ("triggers", "query", "is_named"),
    [
        (("purchase",), "p={{revenue}}", True),
        (("*",), "p={{revenue_usd}}", True),
        (("open", "purchase"), "c={{currency}}", True),
        (("purchase",), "p={{params.x||revenue|cents}}", True),
        (("purchase",), 'p={{value|convert:"EUR"}}', True),
        (("open",), "p={{revenue}}", False),
        (("purchase",), "e={{event_name}}", False),
        (("purchase",), "p={{payout_pct}}", True),
    ],
)
def test_money_whose_events_come_without_a_currency_is_named(
    triggers: tuple[str, ...], query: str, is_named: bool
) -> None:
    known = KnownEvents(SEEN.names, without_currency=("purchase",))
    definition = rule(f"{AT}?{query}", triggers=triggers)

    remarks = found(definition, known)

    assert [remark.code for remark in remarks] == [WarningCode.NO_CURRENCY] * is_named
    assert all("purchase have revenue without a currency" in each.message for each in remarks)
    assert found(definition, SEEN) == []


def test_before_the_first_event_only_misspelled_standard_names_are_doubted() -> None:
    nothing_yet = KnownEvents()

    assert found(rule(triggers=("tutorial_done",)), nothing_yet) == []
    assert [remark.fix for remark in found(rule(triggers=("purchse",)), nothing_yet)] == [
        "purchase"
    ]


@pytest.mark.parametrize(
    ("fields", "code", "place", "fix"),
    [
        (
            {"attribution_scope": "partner_and_organic"},
            NOBODY,
            "attribution_scope",
            "everyone",
        ),
        (
            {**asking("is_attributed_to_destination", "=", "true")},
            NOBODY,
            "conditions.all.0.field",
            "is_attributed",
        ),
        (
            {"url": f"{AT}?mine={{{{is_attributed_to_destination}}}}"},
            NOBODY,
            "url",
            "{{is_attributed}}",
        ),
        (
            {"triggers": ("purchase", "open"), "event_map": {"purchase": "p"}},
            WarningCode.NOT_MAPPED,
            "event_map.open",
            "open",
        ),
        (
            {"send_revenue": False, "url": f"{AT}?v={{{{revenue}}}}&c={{{{currency}}}}"},
            WarningCode.REVENUE_WITHHELD,
            "send_revenue",
            "true",
        ),
        ({"sampling_percent": 0}, WarningCode.SENDS_NOTHING, "sampling_percent", "100"),
    ],
)
def test_other_rules_that_lose_money_in_silence(
    fields: dict[str, object], code: WarningCode, place: str, fix: str
) -> None:
    (remark,) = found(rule(**fields))  # type: ignore[arg-type]  # a table

    assert (remark.code, remark.field, remark.fix) == (code, place, fix)


@pytest.mark.parametrize(
    "fields",
    [
        {"partner_id": 7, "attribution_scope": "partner_and_organic"},
        {"partner_id": 7, "url": f"{AT}?mine={{{{is_attributed_to_destination}}}}"},
        {"triggers": ("*",), "event_map": {"purchase": "p"}},
        {"send_revenue": False, "url": f"{AT}?v={{{{revenue||'0'}}}}"},
        {"send_revenue": False},
        {"sampling_percent": 1},
    ],
)
def test_what_is_meant_so_is_not_remarked_on(fields: dict[str, object]) -> None:
    assert found(rule(**fields)) == []  # type: ignore[arg-type]  # a table
