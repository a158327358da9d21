"""Fields of the logs' filters: ids, moments and HTTP codes, each refused in words."""

import re
import uuid
from datetime import UTC, datetime
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone

from postbacks.insights.logs import Codes

_EARLIEST, _LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
_CLASS = re.compile(r"([1-5])xx", re.IGNORECASE)
_NOUNS = {"Time": "stretch of time", "Reported by": "way to report"}
_CODE = re.compile(r"[1-5][0-9]{2}")


class IdField(forms.CharField):
    """Takes one whole UUID: a part of it could only be found by reading the whole log."""

    def clean(self, value: Any) -> Any:
        """Return the UUID, None for an empty text."""
        text = super().clean(value)
        if not text:
            return None
        try:
            return uuid.UUID(text)
        except ValueError:
            raise ValidationError(
                "This is not a whole id. Copy all of it, "
                "for example 0198c0de-7e57-7000-8000-000000000001."
            ) from None


class MomentInput(forms.DateTimeInput):
    """A browser's own picker of date and time, in the organization's zone."""

    input_type = "datetime-local"

    def __init__(self) -> None:
        super().__init__(attrs={"step": "1"})

    def format_value(self, value: Any) -> str | None:
        """Show a moment as the picker takes it, whatever zone the address wrote it in."""
        try:
            moment = _moment(str(value or ""))
        except ValueError:
            return ""
        return timezone.localtime(moment).strftime("%Y-%m-%dT%H:%M:%S")


class MomentField(forms.CharField):
    """Takes a date and time; without a zone it is the organization's."""

    widget = MomentInput

    def clean(self, value: Any) -> Any:
        """Return the moment, None for an empty text."""
        text = super().clean(value)
        if not text:
            return None
        try:
            return _moment(text)
        except ValueError:
            raise ValidationError(
                "This is not a date and time. Write it like 2026-01-31T18:30."
            ) from None


class SuggestingField(forms.CharField):
    """Takes a text, with suggestions that the browser itself shows."""

    suggestions: tuple[str, ...] = ()

    def widget_attrs(self, widget: forms.Widget) -> dict[str, Any]:
        """Name the list of suggestions, which the form's template writes."""
        return {
            **super().widget_attrs(widget),
            "list": f"suggestions-{type(self).__name__.lower()}",
        }


class CodesField(SuggestingField):
    """Takes an HTTP code, a class of them such as 5xx, or “none”."""

    suggestions = ("2xx", "3xx", "4xx", "5xx", "none")

    def clean(self, value: Any) -> Any:
        """Return the codes that are meant, None for an empty text."""
        text = super().clean(value).lower()
        if not text:
            return None
        if text == "none":
            return Codes()
        if found := _CLASS.fullmatch(text):
            return Codes(int(found[1]) * 100, int(found[1]) * 100 + 99)
        if _CODE.fullmatch(text):
            return Codes(int(text), int(text))
        raise ValidationError("Write a code like 503, a class like 5xx, or none for no answer.")


def refusals(field: forms.Field) -> dict[str, str]:
    """Return what is said of an answer that a field can't take, instead of Django's words."""
    label = str(field.label)
    if isinstance(field, forms.ModelChoiceField):
        return {"invalid_choice": f"There is no such {label.lower()}. Choose one of the list."}
    if isinstance(field, forms.ChoiceField):
        names = ", ".join(str(name) for value, name in field.choices if value)  # type: ignore[misc,union-attr]  # a list of pairs
        noun = _NOUNS.get(label, label.lower())
        return {"invalid_choice": f"“%(value)s” is no {noun}. Choose one of: {names}."}
    return {
        "max_length": "Write at most %(limit_value)d characters.",
        "null_characters_not_allowed": "This has a character that no text has.",
    }


def _moment(text: str) -> datetime:
    """Return a moment that a database and a calendar both know, or raise ValueError."""
    moment = datetime.fromisoformat(text.replace(" ", "+") if "T" in text else text)
    moment = moment if timezone.is_aware(moment) else timezone.make_aware(moment)
    try:
        is_sane = _EARLIEST <= moment.astimezone(UTC) <= _LATEST
    except OverflowError:
        is_sane = False
    if not is_sane:
        raise ValueError("Out of any calendar that matters here.")
    return moment
