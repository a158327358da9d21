"""The input for a time zone, free text that suggests zones, and the pages with one."""

import zoneinfo
from functools import cache
from typing import Any

from django import forms
from django.contrib.admin.options import BaseModelAdmin
from django.db import models
from django.forms.renderers import BaseRenderer
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from apps_registry.admin_base.theme import TextInput

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
