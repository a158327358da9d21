"""The pages of signing secrets, which owners make and show, and of the keys that sign clicks."""

from datetime import timedelta
from typing import Any, ClassVar

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.utils.cache import add_never_cache_headers
from django.utils.safestring import SafeString

from apps_registry.admin.keys import KeyAdmin
from apps_registry.admin_base.list_cells import CreatedColumn, day
from apps_registry.admin_base.snippets import signed_click_snippet
from apps_registry.admin_base.tenant_admin import TenantAdmin, TenantForm, TenantRelatedFilter
from apps_registry.admin_base.theme import Tone, badge
from apps_registry.audit.actions import Action
from apps_registry.audit.audited_model import log_action
from apps_registry.crypto.encryption import SecretUnreadableError
from apps_registry.models import ClickSigningKey, SigningSecret
from apps_registry.models.click_signing import new_secret
from apps_registry.models.signing import rotate_signing_secret
from apps_registry.roles import Right

_OVERLAPS = (
    ("24", "One day"),
    ("168", "One week"),
    ("1", "One hour"),
    ("0", "Not at all: the secret has leaked"),
)


class NewSecretForm(TenantForm):
    """Asks how long the previous secret stays valid, so that receivers can switch."""

    overlap = forms.ChoiceField(
        label="The secret before stays valid for",
        choices=_OVERLAPS,
        widget=forms.Select(attrs={"class": "pb-input"}),
        help_text="So long postbacks carry both signatures, for example one day, and receivers "
        "that know either secret take them.",
    )

    def _get_validation_exclusions(self) -> set[str]:
        # Saving ends the current secret, so there is never a second one.
        return super()._get_validation_exclusions() | {"organization"}


@admin.register(SigningSecret)
class SigningSecretAdmin(CreatedColumn, TenantAdmin):
    """Secrets with which receivers verify our postbacks. Only owners make and see them."""

    form = NewSecretForm
    single_save_button = True
    empty_list_text = (
        "The first secret is made with the first callback rule that signs, or added here."
    )
    list_display = ["label", "state", "created", "valid_until"]
    actions = ["show"]
    ordering = ["-id"]
    right_to_add = Right.MANAGE
    right_to_change = Right.MANAGE
    detail_fields: ClassVar[tuple[str, ...]] = ("label", "state", "created", "valid_until")
    readonly_fields = detail_fields

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is not None:
            return [(None, {"fields": self.detail_fields})]
        explained = "A new secret signs from now on. Show it afterwards, and give it to receivers."
        return [(None, {"fields": ["overlap"], "description": explained})]

    def save_model(
        self, request: HttpRequest, obj: SigningSecret, form: forms.ModelForm, change: bool
    ) -> None:
        if not change:
            overlap = timedelta(hours=int(form.cleaned_data["overlap"]))
            rotate_signing_secret(overlap, fresh=obj)

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        return not lookup.startswith("sealed") and super().lookup_allowed(lookup, value, request)

    @admin.action(permissions=["change"], description="Show selected signing secrets")
    def show(
        self, request: HttpRequest, queryset: "QuerySet[SigningSecret]"
    ) -> TemplateResponse | None:
        """Show secrets in the response itself, which is never cached."""
        valid = [secret for secret in queryset if secret.is_valid]
        if not valid:
            self.message_user(request, "These are no longer valid.", messages.WARNING)
            return None
        try:
            secrets = [
                {
                    "public_id": secret.public_id,
                    "expires_at": secret.expires_at,
                    "text": secret.reveal(),
                }
                for secret in valid
            ]
        except SecretUnreadableError as error:
            self.message_user(request, str(error), messages.ERROR)
            return None
        for secret in valid:
            log_action(Action.SHOWN, secret)
        context = {
            **self.admin_site.each_context(request),
            "title": "Signing secrets",
            "opts": self.opts,
            "secrets": secrets,
        }
        template = "admin/apps_registry/signingsecret/shown.html"
        response = TemplateResponse(request, template, context)
        add_never_cache_headers(response)
        return response

    @admin.display(description="secret")
    def label(self, secret: SigningSecret) -> str:
        return str(secret)

    @admin.display(description="status")
    def state(self, secret: SigningSecret) -> SafeString:
        if not secret.is_valid:
            return badge("Expired", Tone.STILL)
        return badge("Current", Tone.GOOD) if not secret.expires_at else badge("Ending", Tone.BUSY)

    @admin.display(description="valid until", ordering="expires_at")
    def valid_until(self, secret: SigningSecret) -> SafeString | str:
        return day(secret.expires_at, otherwise="until a new one is made")


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
