"""Form fields that Django has not: several short texts, and a time zone with suggestions."""

import zoneinfo
from functools import cache
from typing import Any, ClassVar

from django import forms
from django.contrib.admin.options import BaseModelAdmin
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models
from django.forms.renderers import BaseRenderer
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from apps_registry.admin_base.theme import TextInput


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


# Names that only old systems need, such as US/Pacific and Etc/GMT+5, are accepted but not offered.
_REGIONS = (
    "Africa/",
    "America/",
    "Antarctica/",
    "Arctic/",
    "Asia/",
    "Atlantic/",
    "Australia/",
    "Europe/",
    "Indian/",
    "Pacific/",
)


class TimeZoneInput(TextInput):
    """A text input that suggests time zones while people type."""

    def render(
        self,
        name: str,
        value: Any,
        attrs: dict[str, Any] | None = None,
        renderer: BaseRenderer | None = None,
    ) -> SafeString:
        list_id = f"{name}-zones"
        field = super().render(name, value, {**(attrs or {}), "list": list_id}, renderer)
        return format_html('{}<datalist id="{}">{}</datalist>', field, list_id, _options())


class TimeZoneAdmin(BaseModelAdmin):
    """A page whose field `time_zone` suggests time zones."""

    def formfield_for_dbfield(
        self, db_field: "models.Field[Any, Any]", request: HttpRequest, **kwargs: Any
    ) -> forms.Field | None:
        if db_field.name == "time_zone":
            kwargs["widget"] = TimeZoneInput()
        return super().formfield_for_dbfield(db_field, request, **kwargs)


@cache
def _options() -> SafeString:
    zones = sorted(zone for zone in zoneinfo.available_timezones() if zone.startswith(_REGIONS))
    return format_html_join("", '<option value="{}">', ((zone,) for zone in ["UTC", *zones]))
