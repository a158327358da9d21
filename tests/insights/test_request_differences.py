"""Where the requests of two attempts differ, part by part."""

from typing import Any

import pytest

from postbacks.insights.request_differences import MOST_DIFFERENCES, request_differences


def request(**fields: Any) -> dict[str, Any]:
    return {
        "method": "GET",
        "url": "https://ads.example.com/p?id=1",
        "headers": {"User-Agent": "Postbacks/1"},
        "body": None,
        **fields,
    }


_JSON = {"User-Agent": "Postbacks/1", "Content-Type": "application/json"}
_FORM = {"User-Agent": "Postbacks/1", "Content-Type": "application/x-www-form-urlencoded"}


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({}, {}, []),
        ({}, {"method": "POST"}, [("method", "GET", "POST")]),
        (
            {},
            {"url": "https://eu.example.com/p?id=1"},
            [("url", "https://ads.example.com/p", "https://eu.example.com/p")],
        ),
        ({}, {"url": "https://ads.example.com/p?id=2"}, [("query.id", "1", "2")]),
        ({}, {"url": "https://ads.example.com/p"}, [("query.id", "1", None)]),
        ({}, {"url": "https://ads.example.com/p?id=1&x=%20"}, [("query.x", None, " ")]),
        ({}, {"url": "https://ads.example.com/p?id=1&id=2"}, [("query.id", "1", "1, 2")]),
        (
            {},
            {"headers": {"User-Agent": "Postbacks/2"}},
            [("headers.User-Agent", "Postbacks/1", "Postbacks/2")],
        ),
        (
            {"headers": {"webhook-timestamp": "1", "webhook-signature": "v1,a"}},
            {"headers": {"webhook-timestamp": "2", "webhook-signature": "v1,b"}},
            [],
        ),
        ({"body": "a"}, {"body": "b"}, [("body", "a", "b")]),
        ({}, {"body": "b"}, [("body", None, "b")]),
        (
            {"headers": _JSON, "body": '{"v": 1.10, "w": "x"}'},
            {"headers": _JSON, "body": '{"v": 1.1, "w": "x"}'},
            [("body.v", "1.10", "1.1")],
        ),
        (
            {"headers": _FORM, "body": "a=1&b=2"},
            {"headers": _FORM, "body": "a=1&b=3"},
            [("body.b", "2", "3")],
        ),
        ({"body": "[1]"}, {"body": "[2]"}, [("body", "[1]", "[2]")]),
        ({"body": "[" * 5_000}, {"body": "{"}, [("body", "[" * 499 + "…", "{")]),
    ],
)
def test_each_part_that_differs_is_named(
    before: dict[str, Any], after: dict[str, Any], expected: list[tuple[str, str, str]]
) -> None:
    differences = request_differences(request(**before), request(**after))

    assert [(d.field, d.before, d.after) for d in differences] == expected


def test_an_attempt_without_a_request_differs_from_none() -> None:
    assert request_differences({}, request()) == request_differences(request(), {}) == ()
    assert request_differences(None, request()) == ()


def test_differences_have_a_bound() -> None:
    query = "&".join(f"p{number}=1" for number in range(MOST_DIFFERENCES + 10))

    found = request_differences(request(), request(url=f"https://ads.example.com/p?id=1&{query}"))

    assert len(found) == MOST_DIFFERENCES
