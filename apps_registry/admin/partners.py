"""The page of partners and their credentials, which can be set and replaced but not read."""

from collections.abc import Callable
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.db.models import Field, Model
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString

from apps_registry.admin_base.form_fields import CommaSeparatedField
from apps_registry.admin_base.health_columns import HEALTH_COLUMNS, HealthColumns
from apps_registry.admin_base.list_cells import HideArchived, LifecycleColumns, day
from apps_registry.admin_base.permissions import allowed
from apps_registry.admin_base.tenant_admin import ArchivingAdmin, SecretInline, TenantForm
from apps_registry.admin_base.theme import TextInput
from apps_registry.models import Partner, PartnerCredential
from apps_registry.models.partners import ALLOWED_HOST, NETWORK_ID
from apps_registry.roles import Right


class HostsField(CommaSeparatedField):
    """A comma-separated list of hosts."""

    item_validator = ALLOWED_HOST
    item_label = "a host"


class NetworkIdsField(CommaSeparatedField):
    """A comma-separated list of a network's SKAdNetwork IDs."""

    item_validator = NETWORK_ID
    item_label = "an ID of a network"


class CredentialForm(TenantForm):
    """Sets or replaces a secret, which is never shown. Its name, used in macros, is fixed."""

    secret = forms.CharField(
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password", "class": "pb-input"}),
        strip=False,
        max_length=4096,
        help_text="As the partner gave it to you. Empty: the secret stays as it is.",
    )

    class Meta:
        model = PartnerCredential
        fields = ["name"]

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        is_saved = self.instance.pk is not None
        self.fields["secret"].required = not is_saved
        if "name" in self.fields:
            self.fields["name"].disabled = is_saved

    def save(self, commit: bool = True) -> PartnerCredential:
        if secret := self.cleaned_data["secret"]:
            self.instance.seal(secret)
        credential: PartnerCredential = super().save(commit)
        return credential


class CredentialInline(SecretInline):
    """A partner's secrets for the macros `{{credential.…}}`."""

    model = PartnerCredential
    form = CredentialForm
    fields = ["name", "secret", "stored", "last_set"]
    readonly_fields = ["stored", "last_set"]
    hide_title = True
    explained = (
        "Secrets that rules use as {{credential.name}}, for example an API key. They are sent to "
        "allowed hosts only, and never shown again."
    )
    right_to_delete = Right.SET_UP

    @admin.display(description="stored")
    def stored(self, credential: PartnerCredential) -> str:
        return credential.masked if credential.pk else ""

    @admin.display(description="last set")
    def last_set(self, credential: PartnerCredential) -> SafeString | str:
        return day(credential.updated_at)


@admin.register(Partner)
class PartnerAdmin(HealthColumns, LifecycleColumns, ArchivingAdmin):
    """Partners. Only owners decide which hosts may receive a partner's credentials."""

    empty_list_text = (
        "Add whom to tell about events: an ad network, an analytics tool or your server."
    )
    list_display = ["name", "hosts", *HEALTH_COLUMNS, "state"]
    export_columns = (*list_display, "created")
    list_filter = [HideArchived]
    search_fields = ["name"]
    search_help_text = "Name"
    ordering = ["name"]
    fieldsets = [
        (
            None,
            {
                "fields": ["name", "allowed_hosts", "skadnetwork_ids", "click_signing"],
                "description": "Callback rules send their postbacks to a partner, and may use its "
                "credentials.",
            },
        )
    ]
    detail_fields = ("public_id", "template", "state", "created")
    readonly_fields = detail_fields
    inlines = [CredentialInline]
    # What other packages show on a partner's page, for its template.
    more_context: ClassVar[list[Callable[[HttpRequest, Partner], dict[str, object]]]] = []

    def formfield_for_dbfield(
        self, db_field: "Field[Any, Any]", request: HttpRequest, **kwargs: Any
    ) -> forms.Field | None:
        if db_field.name == "allowed_hosts":
            return HostsField(
                label="Allowed hosts",
                required=False,
                help_text=db_field.help_text,
                widget=TextInput(attrs={"placeholder": "ads.example.com, *.example.net"}),
            )
        if db_field.name == "skadnetwork_ids":
            return NetworkIdsField(
                label="SKAdNetwork IDs",
                required=False,
                help_text=db_field.help_text,
                widget=TextInput(attrs={"placeholder": "4fzdc2evr5.skadnetwork"}),
            )
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    def get_readonly_fields(
        self, request: HttpRequest, obj: Model | None = None
    ) -> list[str] | tuple[str, ...]:
        fields = tuple(super().get_readonly_fields(request, obj))
        return fields if allowed(request, Right.MANAGE) else (*fields, "allowed_hosts")

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        partner = context.get("original")
        if isinstance(partner, Partner):
            for context_of in self.more_context:
                context.update(context_of(request, partner))
        return super().render_change_form(request, context, *args, **kwargs)

    @admin.display(description="credentials may go to", empty_value="nowhere")
    def hosts(self, partner: Partner) -> str:
        return ", ".join(partner.allowed_hosts)
