"""A rule's definition of success: the status and, for networks that always answer 200, the body.

An answer can also be named that is a “no”: for good, or for now.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Protocol

_CODE = re.compile(r"[2-5](?:xx|[0-9]{2})")
# Dotted names and indexes only: no query language of a user's is ever run on an answer.
_JSON_PATH = re.compile(r"[^\s.\[\]*]+(?:\.[^\s.\[\]*]+){0,15}")
_FIELDS = frozenset({"codes", "body_contains", "json_path", "json_equals", "final", "retry"})
_LONGEST_TEXT = 1024
MOST_MARKS = 20
_MARKS = ({"body_contains"}, {"json_path", "equals"})
MOST_VALUES = 50
_REASON_NAMES = ("message", "msg", "error_msg", "error_message", "errmsg", "description", "error")
_LONGEST_REASON = 200


class AnswerMask(Protocol):
    """Hides the credentials that a partner echoes; `delivery.redaction` has it."""

    def mask(self, text: str) -> str: ...

    def mask_body(self, text: str, *, is_cut: bool) -> str: ...


@dataclass  # without slots, for its cached properties
class AnswerBody:
    """An answer's body as success conditions read it: as people see it in the log.

    `masker` hides the credentials that a partner echoes, so that no condition can ask for them
    letter by letter; None where there are none. `is_cut`: it was read up to a limit.
    """

    data: bytes
    masker: AnswerMask | None = None
    is_cut: bool = False

    @cached_property
    def document(self) -> object:
        try:
            return json.loads(self.data)
        except (ValueError, RecursionError):
            return None

    @cached_property
    def _text(self) -> str:
        text = self.data.decode("utf-8", "replace")
        return self.masker.mask_body(text, is_cut=self.is_cut) if self.masker else text

    def contains(self, text: str) -> bool:
        return text.encode() in self.data if self.masker is None else text in self._text

    def value_at(self, path: str) -> object:
        """Return the value at a path. Raises LookupError or ValueError without one."""
        if self.masked(path) != path:
            raise LookupError(path)
        value = _value_at(path, self.document)
        if value is None or isinstance(value, bool | dict | list):
            return value
        masked = self.masked(str(value))
        return value if masked == str(value) else masked

    def masked(self, text: str) -> str:
        return self.masker.mask(text) if self.masker else text


@dataclass(frozen=True, slots=True)
class AnswerMark:
    """Something in an answer that says no: one of some values at a path, or a text."""

    json_path: str | None = None
    equals: tuple[object, ...] = ()
    text: str | None = None

    def found_in(self, body: AnswerBody) -> str:
        """Return what of the mark an answer holds, in words; empty if it does not."""
        if self.text is not None:
            return f"“{self.text}”" if body.contains(self.text) else ""
        try:
            value = body.value_at(self.json_path or "")
        except (LookupError, ValueError):
            return ""
        if not any(_alike(value, expected) for expected in self.equals):
            return ""
        shown = json.dumps(value, ensure_ascii=False) if not isinstance(value, str) else value
        return f"{self.json_path} {shown}"

    @property
    def words(self) -> str:
        if self.text is not None:
            return f"“{self.text}”"
        values = " or ".join(json.dumps(value, ensure_ascii=False) for value in self.equals)
        return f"{values} at {self.json_path}"


class MarkedAnswer(StrEnum):
    """What an answer means that holds a mark."""

    FINAL = "final"
    RETRY = "retry"


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
    final: tuple[AnswerMark, ...] = ()
    retry: tuple[AnswerMark, ...] = ()

    @property
    def reads_body(self) -> bool:
        conditions = (self.body_contains, self.json_path)
        return bool(self.final or self.retry) or any(text is not None for text in conditions)

    @property
    def by_status(self) -> "SuccessRule":
        """The same rule without what it asks of the body."""
        return SuccessRule(codes=self.codes)

    def marked(self, body: AnswerBody) -> tuple[MarkedAnswer, str] | None:
        """Return what an answer says that is named as a “no”, and what in it; None for others.

        One that is named as both is final.
        """
        if not self.final and not self.retry:
            return None
        for meaning, marks in ((MarkedAnswer.FINAL, self.final), (MarkedAnswer.RETRY, self.retry)):
            for mark in marks:
                if found := mark.found_in(body):
                    reason = _reason_in(body, mark.json_path)
                    return meaning, f"{found}, {reason}" if reason else found
        return None

    def allows_status(self, status_code: int) -> bool:
        return f"{status_code // 100}xx" in self.codes or str(status_code) in self.codes

    def allows_by_status(self, status_code: int) -> bool:
        """Tell whether a status is success by itself: most rules don't read bodies."""
        if self.final or self.retry or self.body_contains is not None or self.json_path is not None:
            return False
        return self.allows_status(status_code)

    def allows_body(self, body: AnswerBody) -> bool:
        if self.body_contains is not None and not body.contains(self.body_contains):
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
        words = " and ".join(parts)
        if self.final:
            words += f", and a “no” for good is {', '.join(mark.words for mark in self.final)}"
        if self.retry:
            words += f", and a “no” for now is {', '.join(mark.words for mark in self.retry)}"
        return words

    def _json_agrees(self, path: str, body: AnswerBody) -> bool:
        try:
            value = body.value_at(path)
        except (ValueError, LookupError):
            return False
        return _same(value, self.json_equals)


def parse_success(data: Mapping[str, object]) -> SuccessRule:
    """Return the rule that `data` (a callback rule's `success`) describes; absent means default.

    Raises ValueError with a sentence that names the field.
    """
    unknown = sorted(set(data) - _FIELDS)
    if unknown:
        raise ValueError(f"{unknown[0]} is not a field; fields are {', '.join(sorted(_FIELDS))}.")
    path = _path(data)
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
        final=_marks(data, "final"),
        retry=_marks(data, "retry"),
    )


def _marks(data: Mapping[str, object], name: str) -> tuple[AnswerMark, ...]:
    entries = data.get(name)
    if entries is None:
        return ()
    if isinstance(entries, str) or not isinstance(entries, Sequence) or len(entries) > MOST_MARKS:
        raise ValueError(f"{name} must be a list of at most {MOST_MARKS} answers.")
    return tuple(_mark(entry, name) for entry in entries)


def _mark(entry: object, name: str) -> AnswerMark:
    if isinstance(entry, str):
        entry = {"body_contains": entry}
    if not isinstance(entry, Mapping) or set(entry) not in _MARKS:
        raise ValueError(
            f'{name}: write each answer as in {{"json_path": "code", "equals": [40105]}} '
            'or {"body_contains": "bad token"}.'
        )
    try:
        text, path = _text(entry, "body_contains"), _path(entry)
        equals = _values(entry) if "equals" in entry else ()
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    if text is None and path is None:
        raise ValueError(f"{name}: a text or a json_path is needed.")
    return AnswerMark(json_path=path, equals=equals, text=text)


def _path(data: Mapping[str, object]) -> str | None:
    path = _text(data, "json_path")
    if path is not None and not _JSON_PATH.fullmatch(path):
        raise ValueError("json_path must be names and indexes joined by dots, as in data.0.status.")
    return path


def _values(entry: Mapping[str, object]) -> tuple[object, ...]:
    values = entry["equals"]
    if isinstance(values, str) or not isinstance(values, Sequence):
        values = [values]
    if not 1 <= len(values) <= MOST_VALUES:
        raise ValueError(f"equals must be a list of 1 to {MOST_VALUES} values.")
    if not all(value is None or isinstance(value, str | int | float) for value in values):
        raise ValueError("equals may hold text, numbers, true, false and null.")
    if any(isinstance(value, str) and len(value) > _LONGEST_TEXT for value in values):
        raise ValueError(f"a text in equals has at most {_LONGEST_TEXT} characters.")
    return tuple(values)


def _reason_in(body: AnswerBody, path: str | None) -> str:
    """Return what the partner itself says beside a mark, on one line."""
    beside = body.document
    if path is not None and "." in path:
        try:
            beside = _value_at(path.rpartition(".")[0], beside)
        except (LookupError, ValueError):
            return ""
    if not isinstance(beside, dict):
        return ""
    reasons = (beside.get(name) for name in _REASON_NAMES)
    reason = next((text for text in reasons if isinstance(text, str) and text.strip()), "")
    # Masked before it is cut: a cut through a secret would leave half of it.
    return " ".join(body.masked(reason).split())[:_LONGEST_REASON]


def _alike(value: object, expected: object) -> bool:
    """Tell whether a value is meant: partners write the same code as a number and as text."""
    if _same(value, expected):
        return True
    plain = str | int | float
    both_plain = isinstance(value, plain) and isinstance(expected, plain)
    is_truth = isinstance(value, bool) or isinstance(expected, bool)
    return both_plain and not is_truth and str(value) == str(expected)


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
