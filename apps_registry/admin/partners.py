"""The page of partners and their credentials, which can be set and replaced but never read."""

from django import forms
from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest

from apps_registry.models import Partner, PartnerCredential
from apps_registry.roles import Right
from apps_registry.tenant_admin import ArchivingAdmin, TenantForm, TenantInline, allowed


class CredentialForm(TenantForm):
    """Takes a secret in; it never comes out again. The name is fixed: rules use it in macros."""

    secret = forms.CharField(
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        strip=False,
        max_length=4096,
        help_text="Empty: the secret stays as it is.",
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
        """Seal the secret for its row, which by now knows its partner."""
        if secret := self.cleaned_data["secret"]:
            self.instance.seal(secret)
        credential: PartnerCredential = super().save(commit)
        return credential


class CredentialInline(TenantInline):
    """A partner's secrets for the macros `{{credential.…}}`."""

    model = PartnerCredential
    form = CredentialForm
    fields = ["name", "masked", "secret", "updated_at"]
    readonly_fields = ["masked", "updated_at"]
    right_to_delete = Right.SET_UP

    def get_fields(
        self, request: HttpRequest, obj: Model | None = None
    ) -> list[str | list[str] | tuple[str, ...] | tuple[()]]:
        """Leave the input out for people who can only read."""
        may_set = self.has_change_permission(request, obj)
        return [name for name in super().get_fields(request, obj) if may_set or name != "secret"]


@admin.register(Partner)
class PartnerAdmin(ArchivingAdmin):
    """Who is told. Where credentials may be sent to is for owners to say."""

    list_display = ["name", "allowed_hosts", "status", "created_at"]
    list_filter = ["status"]
    search_fields = ["name"]
    ordering = ["name"]
    readonly_fields = ["public_id", "status", "created_at"]
    inlines = [CredentialInline]

    def get_readonly_fields(
        self, request: HttpRequest, obj: Model | None = None
    ) -> list[str] | tuple[str, ...]:
        """Let only owners say which hosts may receive credentials."""
        fields = tuple(super().get_readonly_fields(request, obj))
        return fields if allowed(request, Right.MANAGE) else (*fields, "allowed_hosts")
