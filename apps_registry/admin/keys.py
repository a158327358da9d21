"""The pages of SDK keys and API tokens: a secret is shown once, afterwards only its beginning."""

import uuid
from datetime import datetime
from typing import Any, ClassVar

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.db import models
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.cache import add_never_cache_headers
from django.utils.safestring import SafeString

from apps_registry import keys
from apps_registry.first_calls import first_event, first_list
from apps_registry.listing import CreatedColumn, day
from apps_registry.models import ApiToken, SdkKey
from apps_registry.roles import Right
from apps_registry.tenant_admin import TenantAdmin, TenantRelatedFilter
from apps_registry.theme import TextInput, Tone, badge


class _MomentInput(TextInput):
    """A browser's own picker of date and time, in the organization's zone."""

    input_type = "datetime-local"

    def format_value(self, value: object) -> str:
        """Write a moment as the picker takes it."""
        return value.strftime("%Y-%m-%dT%H:%M") if isinstance(value, datetime) else str(value or "")


_SENT = "keys_made"  # in the session: the forms whose keys have been shown
_REMEMBERED = 20


def _form_of(request: HttpRequest) -> str:
    """Return what tells one showing of a form from all others: its CSRF token is masked anew."""
    return keys.hash_key(request.POST.get("csrfmiddlewaretoken") or str(uuid.uuid4()))


class KeyAdmin(CreatedColumn, TenantAdmin):
    """What the two kinds of keys share. Only owners make, name and revoke them."""

    only_save = True
    kind_of_key: str
    what_now: ClassVar[str]  # the sentence above the first command to run with a new key
    right_to_add = Right.MANAGE
    right_to_change = Right.MANAGE
    actions = ["revoke"]
    ordering = ["-created_at"]
    facts = ("prefix", "state", "created", "last_used")
    readonly_fields = facts

    def first_call(self, key: Any, secret: str) -> str:
        """Return the command that tries a new key out."""
        raise NotImplementedError

    def add_view(
        self,
        request: HttpRequest,
        form_url: str = "",
        extra_context: dict[str, object] | None = None,
    ) -> HttpResponse:
        """Make one key of one form: a reload of the page that shows it must not make another."""
        if request.method != "POST" or _form_of(request) not in request.session.get(_SENT, []):
            return super().add_view(request, form_url, extra_context)
        kind = self.opts.verbose_name
        words = f"This {kind} was made before and shown then. If it got lost, revoke it."
        self.message_user(request, words, messages.WARNING)
        return HttpResponseRedirect(
            reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist")
        )

    def save_model(
        self,
        request: HttpRequest,
        obj: ApiToken | SdkKey,
        form: forms.ModelForm,
        change: bool,
    ) -> None:
        """Give a new key its secret, which exists until the answer is sent and nowhere else."""
        if not change:
            fresh = keys.make_key(self.kind_of_key)
            obj.prefix, obj.hash = fresh.prefix, fresh.hash
            request.fresh_secret = fresh.secret  # type: ignore[attr-defined]  # for response_add
        super().save_model(request, obj, form, change)

    def response_add(
        self, request: HttpRequest, obj: ApiToken | SdkKey, post_url_continue: str | None = None
    ) -> HttpResponse:
        """Show the secret in the answer itself: a message would lie in a cookie or the database."""
        secret: str = request.fresh_secret  # type: ignore[attr-defined]  # set by save_model
        sent = [*request.session.get(_SENT, []), _form_of(request)]
        request.session[_SENT] = sent[-_REMEMBERED:]
        context = {
            **self.admin_site.each_context(request),
            "title": f"Copy the new {self.opts.verbose_name} now",
            "opts": self.opts,
            "secret": secret,
            "what_now": self.what_now,
            "first_call": self.first_call(obj, secret),
        }
        response = TemplateResponse(request, "admin/secret_once.html", context)
        add_never_cache_headers(response)
        return response

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Answer no questions about a hash from the address bar."""
        return not lookup.startswith("hash") and super().lookup_allowed(lookup, value, request)

    @admin.action(permissions=["change"], description="Revoke selected %(verbose_name_plural)s")
    def revoke(
        self, request: HttpRequest, queryset: "QuerySet[ApiToken] | QuerySet[SdkKey]"
    ) -> TemplateResponse | None:
        """End keys' lives after asking."""
        page = self.ask_first(
            request,
            queryset,
            action="revoke",
            question=f"Revoke these {self.opts.verbose_name_plural}?",
            description="Whatever uses them stops working at once. This can't be undone.",
        )
        if page:
            return page
        for key in queryset:
            key.revoke()
        self.message_user(request, "Revoked.", messages.SUCCESS)
        return None

    @admin.display(description="status", ordering="revoked_at")
    def state(self, key: ApiToken | SdkKey) -> SafeString:
        """Show whether the key works."""
        if key.revoked_at is not None:
            return badge("Revoked", Tone.STILL)
        expires_at = getattr(key, "expires_at", None)
        if expires_at is not None and expires_at <= timezone.now():
            return badge("Expired", Tone.BUSY)
        return badge("Active", Tone.GOOD)

    @admin.display(description="last used", ordering="last_used_at")
    def last_used(self, key: ApiToken | SdkKey) -> SafeString | str:
        """Show the day of the latest use."""
        return day(key.last_used_at, otherwise="never")


@admin.register(SdkKey)
class SdkKeyAdmin(KeyAdmin):
    """Keys with which apps report events."""

    kind_of_key = keys.SDK_KEY
    nothing_yet = "Add a key for an app, then report its first event with it."
    what_now = "Report a first event with it; seconds later it is listed under Events."
    list_display = ["label", "app", "kind", "state", "created", "last_used"]
    list_select_related = ["app"]
    list_filter = [("app", TenantRelatedFilter), "kind"]
    search_fields = ["name", "prefix"]
    search_help_text = "Name or first characters"
    fixed_fields = ("app", "kind")
    fieldsets = [
        (
            None,
            {
                "fields": ["app", "name", "kind"],
                "description": "The SDK or your server sends the key with each event. It is shown "
                "once, right after you save.",
            },
        )
    ]

    def first_call(self, key: SdkKey, secret: str) -> str:
        """Return the command that reports an event."""
        return first_event(settings.PUBLIC_URL, secret, key.app.platform)

    @admin.display(description="key", ordering="name")
    def label(self, key: SdkKey) -> str:
        """Show the name and the first characters."""
        return str(key)


@admin.register(ApiToken)
class ApiTokenAdmin(KeyAdmin):
    """Tokens with which programs use the management API."""

    kind_of_key = keys.API_TOKEN
    nothing_yet = "Add a token for a program that sets things up or reads the log by the API."
    what_now = "Try it: list your apps."
    list_display = ["label", "role", "state", "created", "last_used", "expires"]
    list_filter = ["role"]
    search_fields = ["name", "prefix"]
    search_help_text = "Name or first characters"
    fixed_fields = ("role",)
    fieldsets = [
        (
            None,
            {
                "fields": ["name", "role", "expires_at"],
                "description": "A program sends the token with each call of the management API. "
                "It is shown once, right after you save.",
            },
        )
    ]

    def formfield_for_dbfield(
        self, db_field: "models.Field[object, object]", request: HttpRequest, **kwargs: object
    ) -> forms.Field | None:
        """Ask for the moment of expiry in one input, which browsers know how to fill in."""
        if db_field.name == "expires_at":
            return forms.DateTimeField(
                label="Expires",
                required=False,
                help_text=db_field.help_text,
                widget=_MomentInput(),
            )
        field: forms.Field | None = super().formfield_for_dbfield(db_field, request, **kwargs)
        return field

    def first_call(self, key: ApiToken, secret: str) -> str:
        """Return the command that lists apps."""
        return first_list(settings.PUBLIC_URL, secret)

    @admin.display(description="token", ordering="name")
    def label(self, token: ApiToken) -> str:
        """Show the name and the first characters."""
        return str(token)

    @admin.display(description="expires", ordering="expires_at")
    def expires(self, token: ApiToken) -> SafeString | str:
        """Show the day on which the token stops working."""
        return day(token.expires_at, otherwise="never")
