"""The theme of the web UI: django-unfold, which only this module imports.

Our own widgets, styles and scripts use none of its classes, so that a return to Django's plain
admin stays possible.
"""

from enum import StrEnum
from typing import TYPE_CHECKING

from django.utils.html import format_html
from django.utils.safestring import SafeString

if TYPE_CHECKING:  # the theme has no types; its classes have Django's interfaces
    from django.contrib.admin import AdminSite, ModelAdmin, TabularInline
    from django.contrib.admin.widgets import AdminTextInputWidget as TextInput
    from django.forms import CheckboxSelectMultiple as Checkboxes
    from django.forms import Select
else:
    from unfold.admin import ModelAdmin, TabularInline
    from unfold.sites import UnfoldAdminSite as AdminSite
    from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget as Checkboxes
    from unfold.widgets import UnfoldAdminSelectWidget as Select
    from unfold.widgets import UnfoldAdminTextInputWidget as TextInput

__all__ = [
    "AdminSite",
    "Checkboxes",
    "ModelAdmin",
    "Select",
    "TabularInline",
    "TextInput",
    "Tone",
    "badge",
]


class Tone(StrEnum):
    """The color of a badge. Its text says the same, for people who can't see the color."""

    GOOD = "good"
    BAD = "bad"
    BUSY = "busy"
    INFO = "info"
    STILL = "still"


def badge(text: str, tone: Tone) -> SafeString:
    """Return a small colored label with escaped text, styled by static/postbacks/kit.css."""
    return format_html('<span class="pb-badge pb-badge--{}">{}</span>', tone.value, text)
