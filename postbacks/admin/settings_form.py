"""The form of attribution settings: what stays empty is left to whoever is above."""

from typing import Any

from django import forms

from apps_registry.admin_base.tenant_admin import TenantForm
from apps_registry.admin_base.theme import Select
from apps_registry.models import TrackingLink
from postbacks.admin.attribution_settings_wording import SETTINGS, is_set

_FIRST = next(iter(SETTINGS))


class SwitchField(forms.NullBooleanField):
    """On, off, or left to whoever is above."""

    def __init__(self, **kwargs: Any) -> None:
        choices = [("", "Not set here"), ("True", "On"), ("False", "Off")]
        super().__init__(widget=Select(choices=choices), required=False, **kwargs)


class AttributionSettingsForm(TenantForm):
    """Asks for at least one setting, and for a link without app and partner."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        link: Any = self.fields.get("link")  # absent where it is shown only
        if link:
            rows = link.queryset.select_related("campaign")
            link.queryset = rows.order_by("campaign__name", "name")
            link.label_from_instance = _with_campaign

    def clean(self) -> dict[str, Any]:
        """Refuse what would set nothing, or hold for nobody."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if cleaned.get("link") and (cleaned.get("app") or cleaned.get("partner")):
            words = "A link has its own app and partner. Leave those empty, or the link."
            self.add_error("link", words)
        has_errors = any(column in self.errors for column in SETTINGS)
        if not has_errors and not any(is_set(cleaned.get(column)) for column in SETTINGS):
            words = "Fill in at least one setting. What stays empty is inherited."
            self.add_error(_FIRST, words)
        return cleaned


def _with_campaign(link: TrackingLink) -> str:
    return f"{link} of {link.campaign}"
