"""Conditions: what they compare, what they refuse, and what they say about it."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbacks.callbacks.macros import RuleError, TemplateError
from postbacks.callbacks.rules.comparisons import OPERATORS
from postbacks.callbacks.rules.conditions import (
    LARGEST_CONDITIONS,
    MOST_CONDITIONS,
    Effort,
    TooExpensiveError,
    compile_conditions,
)
from tests.work import calls_of

VALUES = {
    "country": "DE",
    "revenue": Decimal("4.99"),
    "quantity": 3,
    "limit_ad_tracking": False,
    "event_time": datetime(2026, 5, 4, 10, tzinfo=UTC),
    "os_version": "17.10.1",
    "event_name": "purchase",
    "params": {
        "level": 7,
        "tier": "gold",
        "code": "007",
        "vip": True,
        "tags": ["new", "sale"],
        "items": [{"sku": "gems_500"}],
        "long": "x" * 5000,
    },
}


def holds(field: str, operator: str, value: object = None) -> bool:
    conditions = compile_conditions(
        {"all": [{"field": field, "operator": operator, "value": value}]}
    )
    return conditions.refusal(VALUES) is None


def problems(field: str, operator: str, value: object = None) -> tuple[RuleError, ...]:
    with pytest.raises(TemplateError) as refused:
        compile_conditions({"all": [{"field": field, "operator": operator, "value": value}]})
    return refused.value.problems


@pytest.mark.parametrize(
    ("field", "operator", "value"),
    [
        ("country", "=", "DE"),
        ("country", "≠", "US"),
        ("country", "in", "DE, AT"),
        ("country", "in", ["AT", "DE"]),
        ("country", "not-in", ["US", "CA"]),
        ("country_lower", "=", "de"),
        ("revenue", "=", "4.990"),
        ("revenue", "≥", 4.99),
        ("revenue", ">=", "4.99"),
        ("revenue", "<", 5),
        ("revenue", "!=", 5),
        ("quantity", "in", [1, 3]),
        ("limit_ad_tracking", "=", False),
        ("limit_ad_tracking", "=", "false"),
        ("limit_ad_tracking_integer", "exists", False),  # the values hold only what is above
        ("event_time", "≥", "2026-05-04T12:00:00+02:00"),
        ("event_time", "<", "2026-05-05"),
        ("event_time_ms", "=", 1777888800000),
        ("os_version", ">", "17.9"),
        ("os_version", "≥", 17),
        ("os_version", "<", "18"),
        ("event_name", "contains", "chas"),
        ("event_name", "starts-with", "pur"),
        ("event_name", "matches", "^p.*e$"),
        ("event_name", "matches", "rch"),
        ("event_name", "exists", None),
        ("revenue", "exists", True),
        ("idfa", "exists", False),
        ("params.level", "≥", 7),
        ("params.level", "=", "7"),
        ("params.level", "in", "5,7"),
        ("params.tier", "=", "gold"),
        ("params.code", "=", "007"),
        ("params.vip", "=", True),
        ("params.vip", "=", "true"),
        ("params.tags", "contains", "sale"),
        ("params.items.0.sku", "starts-with", "gems"),
    ],
)
def test_a_condition_that_holds_lets_the_event_by(field: str, operator: str, value: object) -> None:
    assert holds(field, operator, value)


@pytest.mark.parametrize(
    ("field", "operator", "value"),
    [
        ("event_name", "=", "Purchase"),
        ("country", "in", "US"),
        ("revenue", ">", "4.99"),
        ("os_version", ">", "17.10.1"),
        ("os_version", "<", "17.9"),
        ("params.code", "=", "7"),
        ("params.tier", ">", 5),
        ("params.vip", "=", 1),
        ("params.tags", "contains", "sal"),
        ("params.long", "matches", "x"),  # longer than 4 KiB
        ("params.items.1.sku", "exists", True),
    ],
)
def test_a_condition_that_does_not_hold_refuses_the_event(
    field: str, operator: str, value: object
) -> None:
    assert not holds(field, operator, value)


@pytest.mark.parametrize("operator", OPERATORS)
def test_without_a_value_only_negations_hold(operator: str) -> None:
    value = {"exists": False, "in": "a", "not-in": "a", ">": 1, "≥": 1, "<": 1, "≤": 1}
    fitting = value.get(operator, "a")

    assert holds("params.unknown", operator, fitting) is (operator in {"≠", "not-in", "exists"})


def test_a_refusal_names_the_condition_and_the_value() -> None:
    conditions = compile_conditions(
        {
            "all": [
                {"field": "country", "operator": "in", "value": ["DE", "AT"]},
                {"field": "revenue", "operator": ">=", "value": 5},
                {"field": "idfa", "operator": "exists"},
            ]
        }
    )

    refusal = conditions.refusal(VALUES)

    assert refusal is not None
    assert (refusal.code, refusal.detail) == ("condition", "revenue ≥ 5: the event has 4.99.")


def test_of_any_one_is_enough_and_a_refusal_names_them_all() -> None:
    def any_of(*countries: str) -> object:
        lines = [{"field": "country", "operator": "=", "value": country} for country in countries]
        return compile_conditions({"any": lines}).refusal(VALUES)

    assert any_of("US", "DE") is None
    assert "country = US" in str(any_of("US", "CA"))
    assert "country = CA" in str(any_of("US", "CA"))


@pytest.mark.parametrize("nothing", [{}, {"all": []}, {"any": []}])
def test_no_condition_lets_everything_by(nothing: dict[str, object]) -> None:
    assert compile_conditions(nothing).refusal({}) is None


@pytest.mark.parametrize(
    ("field", "operator", "value", "key", "words"),
    [
        ("contry", "=", "DE", "field", "Did you mean country?"),
        ("credential.api_key", "=", "x", "field", "can't be used in a condition"),
        ("params..x", "=", "x", "field", "joined by dots"),
        ("params.", "=", "x", "field", "joined by dots"),
        (None, "=", "x", "field", "Name a macro"),
        ("country", "start-with", "x", "operator", "Did you mean starts-with?"),
        ("revenue", "≥", "much", "value", "revenue is compared with a number"),
        ("revenue", "≥", True, "value", "revenue is compared with a number"),
        ("limit_ad_tracking", "=", "perhaps", "value", "true or false"),
        ("limit_ad_tracking", ">", True, "value", "with = or ≠"),
        ("event_time", "<", "yesterday", "value", "a time"),
        ("country", ">", "DE", "value", "a number or a version"),
        ("country", "in", [], "value", "list of 1 to"),
        ("country", "in", " , ", "value", "list of 1 to"),
        ("country", "in", [["DE"]], "value", "is a text"),
        ("country", "=", None, "value", "Write what country is compared with"),
        ("country", "=", {"a": 1}, "value", "Write what country is compared with"),
        ("country", "=", "x" * 1025, "value", "at most 1024"),
        ("country", "matches", "x" * 257, "value", "at most 256"),
        ("country", "matches", "(", "value", "RE2"),
        ("country", "matches", r"(a)\1", "value", "RE2"),
        ("country", "exists", "maybe", "value", "true or false"),
    ],
)
def test_what_means_nothing_is_named_by_its_place(
    field: object, operator: str, value: object, key: str, words: str
) -> None:
    (problem,) = problems(field, operator, value)  # type: ignore[arg-type]  # that is the test

    assert problem.field == f"conditions.all.0.{key}"
    assert words in problem.message


def test_all_problems_are_named_at_once() -> None:
    with pytest.raises(TemplateError) as refused:
        compile_conditions(
            {"any": [{"field": "x1", "operator": "="}, {"field": "country", "operator": "~"}, 7]}
        )

    places = [problem.field for problem in refused.value.problems]
    assert places == ["conditions.any.0.field", "conditions.any.1.operator", "conditions.any.2"]


def test_all_and_any_do_not_go_together() -> None:
    with pytest.raises(TemplateError):
        compile_conditions({"all": [], "any": []})


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=20)
    | st.decimals(allow_nan=False, allow_infinity=False, places=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
FIELDS = st.sampled_from(["country", "revenue", "event_time", "limit_ad_tracking", "params.x"])


@given(FIELDS, st.sampled_from(OPERATORS), JSON, JSON)
def test_whatever_can_be_saved_can_be_asked_of_any_value(
    field: str, operator: str, expected: object, actual: object
) -> None:
    line = {"field": field, "operator": operator, "value": expected}
    try:
        conditions = compile_conditions({"all": [line]})
    except TemplateError:
        return

    for values in ({}, {"params": {"x": actual}}, {field: actual}):
        conditions.refusal(values)  # type: ignore[arg-type]  # any JSON value


@given(JSON, JSON)
def test_negations_hold_exactly_where_their_operators_do_not(
    expected: object, actual: object
) -> None:
    for operator, negation in (("=", "≠"), ("in", "not-in")):
        lines = [
            {"field": "params.x", "operator": sign, "value": expected}
            for sign in (operator, negation)
        ]
        try:
            positive, negative = (compile_conditions({"all": [line]}) for line in lines)
        except TemplateError:
            continue
        values = {"params": {"x": actual}}
        assert (positive.refusal(values) is None) is (negative.refusal(values) is not None)  # type: ignore[arg-type]  # as above


@given(st.integers(-(10**6), 10**6), st.integers(-(10**6), 10**6))
def test_the_order_of_numbers_is_the_order_of_numbers(expected: int, actual: int) -> None:
    def holds(operator: str) -> bool:
        line = {"field": "revenue", "operator": operator, "value": expected}
        return compile_conditions({"all": [line]}).refusal({"revenue": Decimal(actual)}) is None

    assert [holds(operator) for operator in (">", "≥", "<", "≤", "=")] == [
        actual > expected,
        actual >= expected,
        actual < expected,
        actual <= expected,
        actual == expected,
    ]


@pytest.mark.parametrize("join", ["all", "any"])
@pytest.mark.parametrize(
    ("field", "members", "value"),
    [
        ("params.level", list(range(1_000)), 5_000),
        ("params.level", list(range(1_000)), "5000"),
        ("params.level", [f"level {n}" for n in range(1_000)], "none of them"),
        ("params.level", [f"{n}.50" for n in range(1_000)], Decimal("0.25")),
        ("params.level", [n if n % 2 else f"v{n}" for n in range(1_000)], True),
        ("params.level", [str(n) for n in range(1_000)], ["1", "2"]),
        ("params.level", [str(n) for n in range(1_000)], {"a": {"b": 1}}),
        ("quantity", list(range(1_000)), 5_000),
        ("event_name", [f"event_{n}" for n in range(1_000)], "another"),
        ("revenue", [f"{n}.99" for n in range(1_000)], Decimal("0.50")),
    ],
)
@pytest.mark.parametrize("operator", ["in", "not-in"])
def test_a_list_of_a_thousand_costs_like_one_value(join, field, members, value, operator) -> None:
    values = {"params": {"level": value}, "quantity": value, "event_name": value, "revenue": value}
    one, many = (
        compile_conditions(
            {join: [{"field": field, "operator": operator, "value": some}] * MOST_CONDITIONS}
        )
        for some in (members[:1], members)
    )

    passes = [
        calls_of(lambda of=of: of.hold(values, rates=None, effort=Effort())) for of in (one, many)
    ]
    assert passes[1] <= passes[0] + 5


def test_equal_values_of_a_parameter_are_the_same_in_a_list() -> None:
    assert holds("params.level", "in", ["x", "7.00"])
    assert holds("params.code", "in", ["x", "007"])
    assert not holds("params.code", "in", ["7", "x", "07"])
    assert holds("params.code", "in", [7])
    assert holds("params.vip", "in", ["true", "x"])
    assert holds("params.tags", "in", ['["new","sale"]'])


def test_a_refusal_by_a_long_list_names_its_first_values() -> None:
    conditions = compile_conditions(
        {"all": [{"field": "params.level", "operator": "in", "value": list(range(100, 1_100))}]}
    )

    refusal = conditions.refusal(VALUES)

    assert refusal is not None
    assert refusal.detail.startswith("params.level in 100,101,")
    assert refusal.detail.endswith("119,… (980 more): the event has 7.")


def test_many_patterns_that_take_long_to_read_are_refused_before_they_are() -> None:
    lines = [line_matching(rf"(\pL|\pN){{0,200}}{n}") for n in range(50)]

    with pytest.raises(TemplateError) as refused:
        compile_conditions({"any": lines})

    (problem,) = refused.value.problems
    assert problem.field == "conditions.any.3.value"
    assert problem.message.startswith("A rule has at most 3 large patterns")
    assert compile_conditions({"any": [*lines[:3], line_matching("^[A-Z]{2}$")]}).lines
    assert compile_conditions({"any": lines}, is_stored=True).lines  # an older one goes on


def test_a_pattern_that_is_none_is_no_large_one() -> None:
    with pytest.raises(TemplateError) as refused:
        compile_conditions({"any": [line_matching(f"({n}") for n in range(5)]})

    assert len(refused.value.problems) == 5
    assert all("is not a pattern" in problem.message for problem in refused.value.problems)


def line_matching(pattern: str) -> dict[str, str]:
    return {"field": "params.x", "operator": "matches", "value": pattern}


def test_conditions_that_are_too_large_say_how_large_they_may_be() -> None:
    value = ["x" * 1_020 + str(n % 10) for n in range(1_000)]
    line = {"field": "params.level", "operator": "in", "value": value}

    with pytest.raises(TemplateError) as refused:
        compile_conditions({"any": [line, line]})

    (problem,) = refused.value.problems
    assert problem.field == "conditions"
    assert f"{LARGEST_CONDITIONS:,}" in problem.message
    assert compile_conditions({"any": [line, line]}, is_stored=True).lines  # an older one goes on


@pytest.mark.parametrize(
    ("field", "operator", "value"),
    [
        ("event_name", "matches", "rch"),
        ("params.tier", "matches", "^g"),
        ("params.items", "starts-with", "["),
        ("params.items", "=", '[{"sku":"gems_500"}]'),
        ("params.items", "in", ["a", "b"]),
    ],
)
def test_what_may_take_long_ends_once_its_time_is_over(field, operator, value) -> None:
    conditions = compile_conditions(
        {"any": [{"field": field, "operator": operator, "value": value}]}
    )

    for limits in ({"rule_limit": -1.0}, {"event_limit": -1.0}):
        with pytest.raises(TooExpensiveError):
            conditions.hold(VALUES, rates=None, effort=Effort(**limits))
    conditions.hold(VALUES, rates=None, effort=Effort())


@pytest.mark.parametrize(
    ("field", "operator", "value"), [("country", "in", "DE,AT"), ("params.level", "≥", 5)]
)
def test_plain_conditions_never_count_as_long(field, operator, value) -> None:
    conditions = compile_conditions(
        {"all": [{"field": field, "operator": operator, "value": value}]}
    )

    assert conditions.hold(VALUES, rates=None, effort=Effort(-1.0, -1.0))
