"""The base page of SDK keys, API tokens and click signing keys, whose secrets are shown once."""

import uuid
from datetime import datetime
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.cache import add_never_cache_headers
from django.utils.formats import date_format
from django.utils.safestring import SafeString

from apps_registry.admin_base.list_cells import CreatedColumn, day
from apps_registry.admin_base.tenant_admin import TenantAdmin
from apps_registry.admin_base.theme import Tone, badge
from apps_registry.crypto import keys
from apps_registry.models import ApiToken, SdkKey
from apps_registry.roles import Right

_SUBMITTED_FORMS = "keys_made"  # in the session: the forms whose keys have been shown
_MAX_SUBMITTED_FORMS = 20


def _form_fingerprint(request: HttpRequest) -> str:
    """Identify one rendering of a form: Django masks the CSRF token again for each."""
    return keys.hash_key(request.POST.get("csrfmiddlewaretoken") or str(uuid.uuid4()))


class KeyAdmin(CreatedColumn, TenantAdmin):
    """A page of keys that only owners make, name and revoke."""

    single_save_button = True
    key_prefix: str
    storage_note: ClassVar[str] = "we keep a hash, not the secret itself"
    next_step: ClassVar[str]  # the sentence above the snippet that uses a new key
    copy_label: ClassVar[str] = "Copy the command"
    right_to_add = Right.MANAGE
    right_to_change = Right.MANAGE
    actions = ["revoke"]
    ordering = ["-created_at"]
    detail_fields: ClassVar[tuple[str, ...]] = ("prefix", "state", "created", "last_used")
    readonly_fields: ClassVar[tuple[str, ...]] = detail_fields

    def snippet(self, key: Any, secret: str) -> str:
        """Return the snippet that tries out a new key."""
        raise NotImplementedError

    def context_of_new_key(self, key: Any) -> dict[str, object]:
        """Return what the page that shows a new key's secret shows besides."""
        return {}

    def add_view(
        self,
        request: HttpRequest,
        form_url: str = "",
        extra_context: dict[str, object] | None = None,
    ) -> HttpResponse:
        """Make one key per form: reloading the page that shows it must not make another."""
        return self.already_submitted(request) or super().add_view(request, form_url, extra_context)

    def already_submitted(self, request: HttpRequest) -> HttpResponse | None:
        """Return a redirect if this form has made its key already, otherwise None."""
        submitted = request.session.get(_SUBMITTED_FORMS, [])
        if request.method != "POST" or _form_fingerprint(request) not in submitted:
            return None
        kind = self.opts.verbose_name
        text = f"This {kind} was made before and shown then. If it got lost, revoke it."
        self.message_user(request, text, messages.WARNING)
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
        if not change:
            fresh = keys.make_key(self.key_prefix)
            obj.prefix, obj.hash = fresh.prefix, fresh.hash
            request.fresh_secret = fresh.secret  # type: ignore[attr-defined]  # for response_add
        super().save_model(request, obj, form, change)

    def response_add(
        self, request: HttpRequest, obj: ApiToken | SdkKey, post_url_continue: str | None = None
    ) -> HttpResponse:
        """Show the secret in the response itself: a message is kept in a cookie or the database."""
        secret: str = request.fresh_secret  # type: ignore[attr-defined]  # set by save_model
        return self.show_once(request, obj, secret)

    def show_once(
        self, request: HttpRequest, key: ApiToken | SdkKey, secret: str
    ) -> TemplateResponse:
        """Return the page that shows a new key's secret."""
        submitted = [*request.session.get(_SUBMITTED_FORMS, []), _form_fingerprint(request)]
        request.session[_SUBMITTED_FORMS] = submitted[-_MAX_SUBMITTED_FORMS:]
        context = {
            **self.admin_site.each_context(request),
            "title": f"Copy the new {self.opts.verbose_name} now",
            "opts": self.opts,
            "secret": secret,
            "storage_note": self.storage_note,
            "next_step": self.next_step,
            "copy_label": self.copy_label,
            "snippet": self.snippet(key, secret),
            **self.context_of_new_key(key),
        }
        response = TemplateResponse(request, "admin/secret_once.html", context)
        add_never_cache_headers(response)
        return response

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        is_secret = lookup.startswith(("hash", "sealed"))
        return not is_secret and super().lookup_allowed(lookup, value, request)

    @admin.action(permissions=["change"], description="Revoke selected %(verbose_name_plural)s")
    def revoke(
        self, request: HttpRequest, queryset: "QuerySet[ApiToken] | QuerySet[SdkKey]"
    ) -> TemplateResponse | None:
        page = self.confirm_action(
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
        if key.revoked_at is not None:
            return badge("Revoked", Tone.STILL)
        if key.expires_at is None:
            return badge("Active", Tone.GOOD)
        if key.expires_at <= timezone.now():
            return badge("Ended", Tone.STILL)
        return self.ending(key.expires_at)

    def ending(self, at: datetime) -> SafeString:
        return badge(f"Ends on {date_format(timezone.localtime(at), 'M j, Y, H:i')}", Tone.BUSY)

    @admin.display(description="last used", ordering="last_used_at")
    def last_used(self, key: ApiToken | SdkKey) -> SafeString | str:
        return day(key.last_used_at, otherwise="never")
