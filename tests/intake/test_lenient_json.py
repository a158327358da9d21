"""The slow reader of JSON stays linear: a stranger chooses what it reads."""

import pytest

from postbacks.intake.events.body import BodyError, parse_json
from postbacks.intake.events.lenient_json import TOKEN, FlawedItem, examine, parse_leniently
from tests.work import calls_of

MOST = 5 * 1024 * 1024
DEPTH = "[" * 20_000


def _filled(unit: str) -> str:
    """Return a body of 5 MB: deep nesting, then an open text of escapes."""
    start = DEPTH + '"'
    return start + unit * ((MOST - len(start)) // len(unit))


@pytest.mark.parametrize(
    "unit", ['\\"', '\\"a', "\\\\", '\\\\\\"', 'a\\"', "\\u0022", "\\n", "[", '\\"[', '{\\"']
)
def test_an_open_text_is_one_token_to_the_end(unit) -> None:
    body = _filled(unit)

    tokens = [match.span() for match in TOKEN.finditer(body)]

    assert tokens[-1] == (len(DEPTH), len(body))  # so no part of it is read again
    assert len(tokens) == len(DEPTH) + 1


@pytest.mark.parametrize("end", ["", "\\", "\n", '"', '"]', '\\"'])
def test_a_deep_body_that_is_cut_inside_a_text_is_refused(end) -> None:
    with pytest.raises(BodyError) as refused:
        parse_json((_filled('\\"') + end).encode())

    assert refused.value.status == 400


def test_what_is_nested_too_deep_still_costs_only_its_item() -> None:
    deep = "[" * 20_000 + '"a \\" ] b"' + "]" * 20_000

    first, second = parse_leniently(f'[{deep}, {{"a": "]\\"["}}]'.encode())  # type: ignore[misc]

    assert isinstance(examine(first), FlawedItem)
    assert second == {"a": ']"['}


def test_pointers_under_a_long_name_are_bounded() -> None:
    name = "n" * (MOST // 2)
    item = parse_leniently(f'{{"{name}": [{"NaN," * 600_000} 1]}}'.encode())

    flawed = examine(item)

    assert isinstance(flawed, FlawedItem)
    assert 1 <= len(flawed.errors) <= 100
    assert all(len(error.pointer) < 300 for error in flawed.errors)
    assert flawed.errors[0].pointer.startswith("/nnn")


def test_pointers_of_usual_names_are_whole() -> None:
    flawed = examine(
        parse_leniently(b'{"params": {"a/b~c": [1, {"x": NaN}]}, "y": {"k": 1, "k": 2}}')
    )

    assert isinstance(flawed, FlawedItem)
    assert [error.pointer for error in flawed.errors] == ["/params/a~1b~0c/1/x", "/y/k"]


_MANY = 20_000
_TWICE = ",".join(f'"k{n}": 1, "k{n}": 2' for n in range(_MANY))


@pytest.mark.parametrize(
    "item",
    [
        "{" + _TWICE + "}",
        "{" + '"k": 1,' * _MANY + '"k": 2}',
        "{" + ",".join(f'"k{n}": 1' for n in range(_MANY)) + f', "k{_MANY - 1}": 2}}',
        '{"params": [' + '{"a": 1, "a": 2},' * _MANY + "{}]}",
        '{"a": ' * 15 + "{" + _TWICE + "}" + "}" * 15,
        "{" + ",".join(f'"k{n}": "\\ud800"' for n in range(_MANY)) + "}",
        '{"params": {' + _TWICE + '}, "other": {' + _TWICE + "}}",
    ],
    ids=["pairs", "one key", "the last", "objects", "deep", "halves", "two objects"],
)
def test_each_key_that_stands_twice_is_looked_at_once(item) -> None:
    small = item.replace(_TWICE, _TWICE[: _TWICE.index(f'"k{_MANY // 10}"')].rstrip(","))
    first, second = parse_leniently(f"[{item}, {{}}]".encode())  # type: ignore[misc]

    flawed = examine(first)

    assert isinstance(flawed, FlawedItem)
    assert 1 <= len(flawed.errors) + len(flawed.repaired) <= 200
    assert examine(second) == {}
    if small != item:
        assert _work(item) <= 15 * _work(small)


def _work(item: str) -> int:
    return calls_of(lambda: examine(parse_leniently(item.encode())))
