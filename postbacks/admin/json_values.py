"""JSON for people: indented where it is read, and refused in words where it is written."""

import json

from django import forms
from django.core.exceptions import ValidationError
from django.utils.html import format_html
from django.utils.safestring import SafeString

_DEEPEST = 32


def pretty(value: object) -> SafeString:
    """Return a JSON value as indented text, escaped."""
    text = json.dumps(value, indent=2, ensure_ascii=False, default=str)
    return format_html('<pre class="json">{}</pre>', text)


class JSONObjectField(forms.JSONField):
    """Takes a JSON object and nothing that PostgreSQL can't keep."""

    default_error_messages = {"invalid": "This is not JSON. Write it like the example below."}

    def prepare_value(self, value: object) -> str:
        """Show the object indented, and a mistake as it was typed."""
        if isinstance(value, dict):
            return json.dumps(value, indent=2, ensure_ascii=False)
        text: str = super().prepare_value(value)
        return text

    def to_python(self, value: object) -> object:  # type: ignore[override]  # JSON is no text
        """Read the text; an empty one is an empty object."""
        try:
            content = super().to_python(value)
            text = json.dumps(content, ensure_ascii=False, allow_nan=False)
            text.encode()
        except (ValueError, RecursionError):
            raise ValidationError(self.error_messages["invalid"], code="invalid") from None
        if content is None:
            return {}
        if not isinstance(content, dict):
            raise ValidationError("Write a JSON object, in braces.", code="not_an_object")
        if "\\u0000" in text or _depth(content) > _DEEPEST:
            raise ValidationError(self.error_messages["invalid"], code="invalid")
        return content


def _depth(value: object) -> int:
    if isinstance(value, dict):
        return 1 + max(map(_depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(_depth, value), default=0)
    return 0
