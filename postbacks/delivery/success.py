"""A rule's definition of success: the status and, for networks that always answer 200, the body."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_CODE = re.compile(r"[2-5](?:xx|[0-9]{2})")
# Dotted names and indexes only: no query language of a user's is ever run on an answer.
_JSON_PATH = re.compile(r"[^\s.\[\]*]+(?:\.[^\s.\[\]*]+){0,15}")
_FIELDS = frozenset({"codes", "body_contains", "json_path", "json_equals"})
_LONGEST_TEXT = 1024


@dataclass(frozen=True, slots=True)
class SuccessRule:
    """Which answers mean that the partner took the postback.

    `codes` are statuses ("204") or classes ("2xx"), one of which must match. `body_contains` and
    `json_path` (`data.0.status`), where set, must hold as well; the value at the path must equal
    `json_equals`: text, a number, true, false or null.
    """

    codes: tuple[str, ...] = ("2xx",)
    body_contains: str | None = None
    json_path: str | None = None
    json_equals: object = None

    def allows_status(self, status_code: int) -> bool:
        return not {str(status_code), f"{status_code // 100}xx"}.isdisjoint(self.codes)

    def allows_body(self, body: bytes) -> bool:
        if self.body_contains is not None and self.body_contains.encode() not in body:
            return False
        return self.json_path is None or self._json_agrees(self.json_path, body)

    @property
    def words(self) -> str:
        """Return the conditions of success, for the end of a sentence."""
        parts = [f"a status of {' or '.join(self.codes)}"]
        if self.body_contains is not None:
            parts.append(f"a body that contains “{self.body_contains}”")
        if self.json_path is not None:
            parts.append(f"{json.dumps(self.json_equals, ensure_ascii=False)} at {self.json_path}")
        return " and ".join(parts)

    def _json_agrees(self, path: str, body: bytes) -> bool:
        try:
            value = _value_at(path, json.loads(body))
        except (ValueError, LookupError, RecursionError):
            return False
        return _same(value, self.json_equals)


def parse_success(data: Mapping[str, object]) -> SuccessRule:
    """Return the rule that `data` (a callback rule's `success`) describes; absent means default.

    Raises ValueError with a sentence that names the field.
    """
    unknown = sorted(set(data) - _FIELDS)
    if unknown:
        raise ValueError(f"{unknown[0]} is not a field; fields are {', '.join(sorted(_FIELDS))}.")
    path = _text(data, "json_path")
    if path is not None and not _JSON_PATH.fullmatch(path):
        raise ValueError("json_path must be names and indexes joined by dots, as in data.0.status.")
    expected = data.get("json_equals")
    if path is None and expected is not None:
        raise ValueError("json_equals needs a json_path.")
    if path is not None and "json_equals" not in data:
        raise ValueError("json_path needs a json_equals.")
    if expected is not None and not isinstance(expected, str | int | float):
        raise ValueError("json_equals must be text, a number, true, false or null.")
    return SuccessRule(
        codes=_codes(data),
        body_contains=_text(data, "body_contains"),
        json_path=path,
        json_equals=expected,
    )


def _codes(data: Mapping[str, object]) -> tuple[str, ...]:
    codes = data.get("codes")
    if codes is None:
        return SuccessRule().codes
    if isinstance(codes, str) or not isinstance(codes, Sequence) or not codes:
        raise ValueError("codes must be a list of statuses such as 200 or 2xx, at least one.")
    texts = tuple(str(code).strip().lower() for code in codes)
    for text in texts:
        if not _CODE.fullmatch(text):
            raise ValueError(f"codes: “{text[:20]}” is not a status such as 200 or 2xx.")
    return texts


def _text(data: Mapping[str, object], name: str) -> str | None:
    text = data.get(name)
    if text is None or text == "":
        return None
    if not isinstance(text, str) or len(text) > _LONGEST_TEXT:
        raise ValueError(f"{name} must be text of at most {_LONGEST_TEXT} characters.")
    return text


def _value_at(path: str, document: object) -> object:
    value = document
    for step in path.split("."):
        if isinstance(value, dict):
            value = value[step]
        elif isinstance(value, list) and step.isdecimal():
            value = value[int(step)]
        else:
            raise LookupError(step)
    return value


def _same(value: object, expected: object) -> bool:
    # True == 1 in Python, but not in JSON.
    return isinstance(value, bool) == isinstance(expected, bool) and value == expected
