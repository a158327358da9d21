"""The pages of API tokens: every member has their own, owners also the organization's."""

from datetime import datetime
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db import models
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from apps_registry.admin.keys import KeyAdmin
from apps_registry.admin_base.list_cells import day
from apps_registry.admin_base.permissions import allowed, end_of_visit, membership_of
from apps_registry.admin_base.snippets import app_list_snippet
from apps_registry.admin_base.tenant_admin import Fieldsets, TenantForm
from apps_registry.admin_base.theme import Checkboxes, Select, TextInput, Tone, badge
from apps_registry.crypto import keys
from apps_registry.models import ApiToken, SdkKey, User
from apps_registry.models.tokens import SCOPES, every_scope
from apps_registry.roles import RIGHTS, Right, Role

PERSONAL, ORGANIZATION = "personal", "organization"
_ENDS_WITH_VISIT = (
    "The token ends with your visit: a visit leaves no way in behind. For one that works on, an "
    "owner makes it."
)


class _ExpiryInput(TextInput):
    """The browser's date and time picker, in the organization's time zone."""

    input_type = "datetime-local"

    def format_value(self, value: object) -> str:
        return value.strftime("%Y-%m-%dT%H:%M") if isinstance(value, datetime) else str(value or "")


class ApiTokenForm(TenantForm):
    """Asks for a token's role and scopes; a scope that the role does not allow is dropped."""

    owner = forms.ChoiceField(
        label="Belongs to",
        choices=[(ORGANIZATION, "The organization"), (PERSONAL, "You")],
        initial=ORGANIZATION,
        widget=Select,
        help_text=(
            "Yours stops working when you leave and never does more than you may, for example for "
            "a script of your own. The organization's works on, for example for a nightly export."
        ),
    )
    scopes = forms.MultipleChoiceField(
        label="May",
        choices=SCOPES,
        initial=every_scope,
        widget=Checkboxes,
        help_text=(
            "What of that the token may do, for example only Read. What its role does not allow "
            "is left out."
        ),
    )

    def clean_expires_at(self) -> datetime | None:
        at: datetime | None = self.cleaned_data["expires_at"]
        if at is not None and "expires_at" in self.changed_data and at <= timezone.now():
            raise ValidationError("Choose a moment in the future.")
        return at

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if "scopes" in cleaned and "role" in cleaned:
            rights = RIGHTS[cleaned["role"]]
            cleaned["scopes"] = [scope for scope in cleaned["scopes"] if scope in rights]
            if not cleaned["scopes"]:
                self.add_error("scopes", "The role allows none of these; choose others.")
        return cleaned


@admin.register(ApiToken)
class ApiTokenAdmin(KeyAdmin):
    """Tokens with which programs use the management API."""

    key_prefix = keys.API_TOKEN
    form = ApiTokenForm
    right_to_add = Right.READ
    right_to_change = Right.READ  # of what `get_queryset` leaves
    empty_list_text = "Add a token for a program that sets things up or reads the log by the API."
    next_step = "Try it: list your apps."
    list_display = ["label", "owner", "role", "state", "created", "last_used", "expires"]
    list_filter = ["role"]
    search_fields = ["name", "prefix"]
    search_help_text = "Name or first characters"
    description = (
        "A program sends the token with each call of the management API. It is shown once, right "
        "after you save."
    )

    def has_add_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        # A visiting operator is no member and has no token of their own.
        is_member = _person(request) is not None
        return super().has_add_permission(request, obj) and (
            is_member or allowed(request, Right.MANAGE)
        )

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[models.Model]:
        manages = allowed(request, Right.MANAGE)
        return (
            super()
            .get_queryset(request)
            .filter(ApiToken.visible_to(_person(request), manages=manages))
        )

    def get_fieldsets(self, request: HttpRequest, obj: models.Model | None = None) -> Fieldsets:
        owner = ["owner"] if obj or _may_choose_owner(request) else []
        fields = ["name", *owner, "role", "may" if obj else "scopes", "expires_at"]
        _, *details = super().get_fieldsets(request, obj)
        return [(None, {"fields": fields, "description": self.description}), *details]

    def get_readonly_fields(
        self, request: HttpRequest, obj: models.Model | None = None
    ) -> list[str] | tuple[str, ...]:
        fields = tuple(super().get_readonly_fields(request, obj))
        if obj:
            # Nor can a token of the visit be made to outlive it.
            end = ["expires_at"] if end_of_visit(request) else []
            return (*fields, "owner", "role", "scopes", "may", *end)
        return fields if _may_choose_owner(request) else (*fields, "owner")

    def formfield_for_choice_field(
        self, db_field: "models.Field[Any, Any]", request: HttpRequest, **kwargs: Any
    ) -> forms.TypedChoiceField | None:
        membership = membership_of(request)
        if db_field.name == "role" and membership is not None:
            allowed_roles = ApiToken.roles_within(membership.role)
            kwargs["choices"] = [choice for choice in Role.choices if choice[0] in allowed_roles]
        return super().formfield_for_choice_field(db_field, request, **kwargs)

    def save_model(
        self, request: HttpRequest, obj: ApiToken | SdkKey, form: forms.ModelForm, change: bool
    ) -> None:
        if isinstance(obj, ApiToken) and not change:
            is_own = form.cleaned_data.get("owner", PERSONAL) == PERSONAL
            obj.user = _person(request) if is_own else None
            self._end_with_visit(request, obj)
        super().save_model(request, obj, form, change)

    def _end_with_visit(self, request: HttpRequest, token: ApiToken) -> None:
        end = end_of_visit(request)
        if end is not None and (token.expires_at is None or token.expires_at > end):
            token.expires_at = end
            self.message_user(request, _ENDS_WITH_VISIT, messages.WARNING)

    def formfield_for_dbfield(
        self, db_field: "models.Field[object, object]", request: HttpRequest, **kwargs: object
    ) -> forms.Field | None:
        if db_field.name == "expires_at":
            return forms.DateTimeField(
                label="Expires",
                required=False,
                help_text=db_field.help_text,
                widget=_ExpiryInput(),
            )
        field: forms.Field | None = super().formfield_for_dbfield(db_field, request, **kwargs)
        return field

    def snippet(self, key: ApiToken, secret: str) -> str:
        return app_list_snippet(settings.PUBLIC_URL, secret)

    @admin.display(description="token", ordering="name")
    def label(self, token: ApiToken) -> str:
        return str(token)

    def ending(self, at: datetime) -> SafeString:
        return badge("Active", Tone.GOOD)

    @admin.display(description="expires", ordering="expires_at")
    def expires(self, token: ApiToken) -> SafeString | str:
        return day(token.expires_at, otherwise="never")

    @admin.display(description="belongs to", ordering="user")
    def owner(self, token: ApiToken) -> str:
        return "You" if token.is_personal else "The organization"

    @admin.display(description="may")
    def may(self, token: ApiToken) -> SafeString:
        labels = [label for scope, label in SCOPES if scope in token.scopes]
        return format_html_join("", "<div>{}</div>", ((label,) for label in labels))


def _person(request: HttpRequest) -> User | None:
    """Return the member; None for a visiting operator, whose membership is not saved."""
    membership = membership_of(request)
    return None if membership is None or membership.pk is None else membership.user


def _may_choose_owner(request: HttpRequest) -> bool:
    return _person(request) is not None and allowed(request, Right.MANAGE)
