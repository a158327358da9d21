"""A form field for several short texts in one line, with commas between them."""

from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator


class CommaList(forms.CharField):
    """Takes texts with commas between them; a subclass says what each of them must be."""

    each: ClassVar[RegexValidator]
    what: ClassVar[str]  # with its article, as in “x” is not a host

    def prepare_value(self, value: Any) -> str:
        """Write the texts in one line, and a mistake as it was typed."""
        return ", ".join(value) if isinstance(value, list) else str(value or "")

    def to_python(self, value: Any) -> Any:
        """Return the texts. Every one that is wrong is named."""
        texts = [text for part in str(value or "").split(",") if (text := part.strip())]
        wrong = [text for text in texts if not self._is_right(text)]
        if wrong:
            raise ValidationError(
                [f"“{text}” is not {self.what}. {self.each.message}" for text in wrong]
            )
        return texts

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Compare what would be stored."""
        return self.prepare_value(initial) != str(data or "").strip()

    def _is_right(self, text: str) -> bool:
        try:
            self.each(text)
        except ValidationError:
            return False
        return True
