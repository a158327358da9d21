"""Plain inputs for what a rule keeps as lists and objects: nobody has to write JSON."""

import json
import math
import re

from django import forms
from django.core.exceptions import ValidationError

from postbacks.admin.waits import read_waits, show_waits

_LONGEST_NAME = 64
_CODE = re.compile(r"[2-5](?:xx|[0-9]{2})")


class EventNamesField(forms.CharField):
    """Event names with commas between them."""

    def prepare_value(self, value: object) -> object:
        """Show a list as it is written."""
        return ", ".join(value) if isinstance(value, list) else value

    def to_python(self, value: object) -> list[str]:  # type: ignore[override]  # a list, not text
        """Read the names, each once."""
        text = value if isinstance(value, str) else ""
        names = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
        for name in names:
            if len(name) > _LONGEST_NAME or not name.isprintable():
                raise ValidationError(
                    f"“{name[:80]}” is not a name of 1 to {_LONGEST_NAME} visible characters."
                )
        return names


class PairLinesField(forms.CharField):
    """One pair to a line, such as `purchase = af_purchase`; kept as an object."""

    widget = forms.Textarea

    def __init__(
        self, *, separator: str, example: str, longest_value: int, **options: object
    ) -> None:
        self.separator = separator
        self.example = example
        self.longest_value = longest_value
        super().__init__(**{"required": False, **options})  # type: ignore[arg-type]  # Django's own

    def prepare_value(self, value: object) -> object:
        """Show an object as lines, and a mistake as it was typed."""
        if not isinstance(value, dict):
            return value
        between = ": " if self.separator == ":" else f" {self.separator} "
        return "\n".join(f"{name}{between}{given}" for name, given in value.items())

    def to_python(self, value: object) -> dict[str, str]:  # type: ignore[override]  # an object
        """Read the lines; a mistake is told by the number of its line."""
        pairs: dict[str, str] = {}
        text = value if isinstance(value, str) else ""
        if "\x00" in text:
            raise ValidationError("Null characters are not allowed.")
        for number, line in enumerate(text.splitlines(), start=1):
            if not line.strip():
                continue
            name, found, given = (part.strip() for part in line.partition(self.separator))
            if not (name and found and (given or self.separator == ":")):
                raise ValidationError(f"Line {number}: write it as {self.example}")
            if name in pairs:
                raise ValidationError(f"Line {number}: {name[:80]} is there twice.")
            if len(given) > self.longest_value:
                raise ValidationError(
                    f"Line {number} is longer than {self.longest_value} characters."
                )
            pairs[name] = given
        return pairs


class WaitsField(forms.CharField):
    """Waits before each new try: 5s, 30s, 2m. Plain numbers are seconds."""

    def prepare_value(self, value: object) -> object:
        """Show seconds in the largest fitting unit, and a mistake as it was typed."""
        return show_waits(value) if isinstance(value, list) else value

    def to_python(self, value: object) -> list[int]:  # type: ignore[override]  # a list, not text
        """Read the waits."""
        try:
            return read_waits(value if isinstance(value, str) else "")
        except ValueError as error:
            raise ValidationError(str(error)) from None


class CodesField(forms.CharField):
    """Statuses such as 200, or classes such as 2xx."""

    def prepare_value(self, value: object) -> object:
        """Show a list as it is written."""
        return ", ".join(map(str, value)) if isinstance(value, list) else value

    def to_python(self, value: object) -> list[str]:  # type: ignore[override]  # a list, not text
        """Read the statuses, each once."""
        text = value.lower() if isinstance(value, str) else ""
        codes = list(dict.fromkeys(text.replace(",", " ").split()))
        for code in codes:
            if not _CODE.fullmatch(code):
                raise ValidationError(f"“{code[:20]}” is not a status such as 200 or 2xx.")
        return codes


class ExpectedValueField(forms.CharField):
    """What a JSON path must lead to; see `read_value`."""

    def clean(self, value: object) -> str:
        """Return the text once it can be read."""
        text: str = super().clean(value)
        try:
            read_value(text)
        except ValueError as error:
            raise ValidationError(str(error)) from None
        return text


def read_value(text: str) -> object:
    """Return what was meant: 0, true and null are JSON, "0" in quotes and all else is text.

    Raises ValueError with a sentence for people.
    """
    try:
        value = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return text
    if isinstance(value, dict | list):
        message = "Write a plain text, a number, true, false or null."
        raise ValueError(message)  # noqa: TRY004  # what a person typed, not a type, is wrong
    if isinstance(value, str) and not value.isprintable():
        raise ValueError("Write visible characters only.")
    if isinstance(value, int | float) and not _fits(value):
        raise ValueError("The number is too large.")
    return value


def show_value(value: object) -> str:
    """Return a value so that reading it gives the same one."""
    if not isinstance(value, str):
        return json.dumps(value)
    try:
        is_plain = value.strip() == value != "" and read_value(value) == value
    except ValueError:
        is_plain = False
    return value if is_plain else json.dumps(value, ensure_ascii=False)


def _fits(number: float) -> bool:
    return math.isfinite(number) if isinstance(number, float) else abs(number) < 2**63


def _refuse(name: str) -> object:
    raise ValueError(name)
