"""The pages of click signing keys, with which partners sign their clicks."""

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest
from django.utils.safestring import SafeString

from apps_registry.admin.keys import KeyAdmin
from apps_registry.admin_base.snippets import signed_click_snippet
from apps_registry.admin_base.tenant_admin import TenantRelatedFilter
from apps_registry.admin_base.theme import Tone, badge
from apps_registry.models import ClickSigningKey
from apps_registry.models.click_signing import new_secret


@admin.register(ClickSigningKey)
class ClickSigningKeyAdmin(KeyAdmin):
    """Keys with which partners sign clicks."""

    empty_list_text = (
        "Add a key for a partner that can sign its clicks, give it both, then set the partner's "
        "signed clicks to Report."
    )
    storage_note = "we keep it encrypted, to check signatures with"
    next_step = "Give the network the key, its ID and this example, which signs a link of yours."
    copy_label = "Copy the program"
    list_display = ["kid", "partner", "state", "created"]
    list_select_related = ["partner"]
    list_filter = [("partner", TenantRelatedFilter)]
    fixed_fields = ("partner",)
    search_fields = ["kid", "partner__name"]
    search_help_text = "Key ID or partner"
    detail_fields = ("kid", "state", "created")
    readonly_fields = detail_fields
    fieldsets = [
        (
            None,
            {
                "fields": ["partner"],
                "description": "A network that signs its clicks can't be impersonated. The key is "
                "shown once, right after you save. Two can be in use while they are changed.",
            },
        )
    ]

    def save_model(
        self, request: HttpRequest, obj: Any, form: forms.ModelForm, change: bool
    ) -> None:
        if not change:
            secret = new_secret()
            obj.seal(secret)
            request.fresh_secret = secret  # type: ignore[attr-defined]  # for response_add
        super(KeyAdmin, self).save_model(request, obj, form, change)

    def snippet(self, key: Any, secret: str) -> str:
        return signed_click_snippet(settings.PUBLIC_URL, key.kid, secret)

    @admin.display(description="status", ordering="revoked_at")
    def state(self, key: Any) -> SafeString:
        if key.revoked_at is not None:
            return badge("Revoked", Tone.STILL)
        return badge("Active", Tone.GOOD)
