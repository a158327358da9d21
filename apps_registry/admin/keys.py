"""The pages of SDK keys and API tokens: a secret is shown once, afterwards only its beginning."""

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.cache import add_never_cache_headers

from apps_registry import keys
from apps_registry.models import ApiToken, SdkKey
from apps_registry.roles import Right
from apps_registry.tenant_admin import TenantAdmin, TenantRelatedFilter


class KeyAdmin(TenantAdmin):
    """What the two kinds of keys share. Only owners make, name and revoke them."""

    kind_of_key: str
    right_to_add = Right.MANAGE
    right_to_change = Right.MANAGE
    actions = ["revoke"]
    ordering = ["-created_at"]
    readonly_fields = ["prefix", "created_at", "last_used_at", "revoked_at"]

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
        context = {
            **self.admin_site.each_context(request),
            "title": f"Copy the new {self.opts.verbose_name} now",
            "opts": self.opts,
            "secret": request.fresh_secret,  # type: ignore[attr-defined]  # set by save_model
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
        question = "Revoke these keys? Whatever uses them stops working at once."
        if page := self.ask_first(request, queryset, action="revoke", question=question):
            return page
        for key in queryset:
            key.revoke()
            self.log_change(request, key, "Revoked.")
        self.message_user(request, "Revoked.", messages.SUCCESS)
        return None


@admin.register(SdkKey)
class SdkKeyAdmin(KeyAdmin):
    """Keys with which apps report events."""

    kind_of_key = keys.SDK_KEY
    list_display = ["__str__", "app", "kind", "created_at", "last_used_at", "revoked_at"]
    list_select_related = ["app"]
    list_filter = [("app", TenantRelatedFilter), "kind"]
    search_fields = ["name", "prefix"]
    fixed_fields = ("app", "kind")


@admin.register(ApiToken)
class ApiTokenAdmin(KeyAdmin):
    """Tokens with which programs use the management API."""

    kind_of_key = keys.API_TOKEN
    list_display = ["__str__", "role", "created_at", "last_used_at", "expires_at", "revoked_at"]
    list_filter = ["role"]
    search_fields = ["name", "prefix"]
    fixed_fields = ("role",)
