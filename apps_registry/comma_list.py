"""A form field for several short texts, separated by commas."""

from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator


class CommaSeparatedField(forms.CharField):
    """Accept a list of texts; a subclass names the validator that each must pass."""

    item_validator: ClassVar[RegexValidator]
    item_label: ClassVar[str]  # with its article, as in “x” is not a host

    def prepare_value(self, value: Any) -> str:
        return ", ".join(value) if isinstance(value, list) else str(value or "")

    def to_python(self, value: Any) -> Any:
        items = [text for part in str(value or "").split(",") if (text := part.strip())]
        faults = [(item, fault) for item in items if (fault := self._fault(item))]
        if faults:
            raise ValidationError(
                [f"“{item}” is not {self.item_label}. {fault}" for item, fault in faults]
            )
        return items

    def has_changed(self, initial: Any, data: Any) -> bool:
        return self.prepare_value(initial) != str(data or "").strip()

    def _fault(self, item: str) -> str:
        try:
            self.item_validator(item)
        except ValidationError as error:
            return " ".join(error.messages)
        return ""
