"""The fields of the logs' filters: what each takes, and the sentence that refuses the rest."""

import uuid
from datetime import UTC, datetime
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import Model
from django.utils import timezone

from apps_registry.tenancy import Lifecycle
from postbacks.insights import wording
from postbacks.insights.logs import AttemptCounts, StatusCodes
from postbacks.models import SkipReason

_EARLIEST, _LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
_NOUNS = {"Time": "stretch of time", "Reported by": "way to report"}


class IdField(forms.CharField):
    """Takes one whole UUID: a part of it could only be found by reading the whole log."""

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        if not text:
            return None
        try:
            return uuid.UUID(text)
        except ValueError:
            raise ValidationError(
                "This is not a whole ID. Copy all of it, "
                "for example 0198c0de-7e57-7000-8000-000000000001."
            ) from None


class MomentInput(forms.DateTimeInput):
    """A browser's own picker of date and time, in the organization's zone."""

    input_type = "datetime-local"

    def __init__(self) -> None:
        super().__init__(attrs={"step": "1"})

    def format_value(self, value: Any) -> str | None:
        """Return a moment as the picker takes it, whichever zone the address has."""
        try:
            moment = _moment(str(value or ""))
        except ValueError:
            return ""
        return timezone.localtime(moment).strftime("%Y-%m-%dT%H:%M:%S")


class MomentField(forms.CharField):
    """Takes a date and time; without a zone it is the organization's."""

    widget = MomentInput

    def clean(self, value: Any) -> Any:
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
        return {
            **super().widget_attrs(widget),
            "list": f"suggestions-{type(self).__name__.lower()}",
        }


class StatusCodesField(SuggestingField):
    """Takes an HTTP code, a class of them such as 5xx, or “none”."""

    suggestions = ("2xx", "3xx", "4xx", "5xx", "none")

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        if not text:
            return None
        try:
            return StatusCodes.parse(text)
        except ValueError as error:
            raise ValidationError(str(error)) from None


class AttemptCountsField(forms.CharField):
    """Takes how often something was tried: 3, 3+ or 2-5."""

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        if not text:
            return None
        try:
            return AttemptCounts.parse(text)
        except ValueError as error:
            raise ValidationError(str(error)) from None


class ReasonField(SuggestingField):
    """Takes a reason's code, with suggestions."""

    suggestions = ("http_500", "timeout", *SkipReason.values)


class ErrorField(SuggestingField):
    """Takes the code of what went wrong with a try, with suggestions."""

    suggestions = ("http_500", "http_429", *wording.WITHOUT_ANSWER)


class RowChoiceField(forms.ModelChoiceField):
    """A choice among the organization's rows; archived ones are still in the log."""

    def label_from_instance(self, obj: Model) -> str:
        is_archived = getattr(obj, "status", "") == Lifecycle.ARCHIVED
        return f"{obj} (archived)" if is_archived else str(obj)


def error_messages_of(field: forms.Field) -> dict[str, str]:
    """Return sentences for people in place of Django's, by the codes of errors."""
    label = str(field.label)
    if isinstance(field, forms.ModelChoiceField):
        return {"invalid_choice": f"There is no such {label.lower()}. Choose one of the list."}
    if isinstance(field, forms.ChoiceField):
        names = ", ".join(str(name) for value, name in field.choices if value)  # type: ignore[misc,union-attr]  # a list of pairs
        noun = _NOUNS.get(label, label.lower())
        return {"invalid_choice": f"“%(value)s” is no {noun}. Choose one of: {names}."}
    return {
        "max_length": "Write at most %(limit_value)d characters.",
        "null_characters_not_allowed": "This has a NUL character; remove it.",
    }


def _moment(text: str) -> datetime:
    """Return a moment within a calendar's reach; without a zone it is the current one's.

    Raises ValueError.
    """
    moment = datetime.fromisoformat(text.replace(" ", "+") if "T" in text else text)
    moment = moment if timezone.is_aware(moment) else timezone.make_aware(moment)
    try:
        is_sane = _EARLIEST <= moment.astimezone(UTC) <= _LATEST
    except OverflowError:
        is_sane = False
    if not is_sane:
        raise ValueError("Out of any calendar that matters here.")
    return moment


def pk_or_none(row: Model | None) -> int | None:
    return row.pk if row else None
