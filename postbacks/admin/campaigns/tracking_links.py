"""The pages of tracking links: the builder, and what to do with a link that is built."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Field, QuerySet, URLField
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps_registry.admin_base.list_cells import HideArchived, LifecycleColumns
from apps_registry.admin_base.permissions import allowed
from apps_registry.admin_base.tenant_admin import ArchivingAdmin, TenantRelatedFilter
from apps_registry.admin_base.theme import TextInput
from apps_registry.models import Campaign, TrackingLink
from apps_registry.roles import Right
from postbacks.admin.link_form import DestinationsField, TrackingLinkForm
from postbacks.admin.link_page import link_page, qr_file
from postbacks.admin.logs.base import is_id
from postbacks.callbacks.partner_templates import click_parameters

_FILES = {"svg": "image/svg+xml", "png": "image/png"}


@admin.register(TrackingLink)
class TrackingLinkAdmin(LifecycleColumns, ArchivingAdmin):
    """The click and impression addresses behind campaigns' ads."""

    form = TrackingLinkForm
    nothing_yet = (
        "A tracking link stands behind an ad: it records the click and leads to the store. Add one "
        "for each campaign, and give it to the network."
    )
    list_display = ["name", "campaign", "partner_shown", "address", "state", "created"]
    list_select_related = ["campaign__partner", "campaign__app"]
    list_filter = [HideArchived, ("campaign", TenantRelatedFilter)]
    search_fields = ["name", "token", "campaign__name"]
    search_help_text = "Name, campaign, or the end of the link's address"
    in_full = {"address": lambda link: link.plain_url}
    ordering = ["campaign__name", "name"]
    fixed_fields = ("campaign",)
    fieldsets = [
        (
            None,
            {
                "fields": ["name", "campaign"],
                "description": "A link records who clicked an ad or saw it, and leads to the "
                "store. Its campaign stays as it is once the link is saved, since installs are "
                "credited to it.",
            },
        ),
        (
            "What the network tells",
            {
                "fields": ["parameters"],
                "description": "A network fills its own macros in at each click, for example its "
                "ID of the click. What stands here is added to the link.",
            },
        ),
        (
            "Where it leads",
            {
                "fields": ["store_url", "fallback_url", "deep_link", "allowed_destinations"],
                "description": "All of it can stay empty: then a click leads to the app's page in "
                "its store.",
            },
        ),
    ]
    facts = ("public_id", "token", "state", "created")
    readonly_fields = facts

    class Media:
        css = {"all": ["postbacks/links.css"]}

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Any]":
        """Return links with what their pages tell of."""
        return super().get_queryset(request).select_related("campaign__partner", "campaign__app")

    @admin.display(description="partner", ordering="campaign__partner__name")
    def partner_shown(self, link: TrackingLink) -> str:
        """Show the network."""
        return str(link.campaign.partner)

    @admin.display(description="address", ordering="token")
    def address(self, link: TrackingLink) -> SafeString:
        """Show the end of the address, by which links are told apart."""
        return format_html('<span class="pb-mono">/c/{}</span>', link.token)

    def formfield_for_dbfield(
        self, db_field: "Field[Any, Any]", request: HttpRequest, **kwargs: Any
    ) -> forms.Field | None:
        """Take destinations in one line, and pages without a scheme as https."""
        if db_field.name == "allowed_destinations":
            return DestinationsField(
                label="Allowed destinations",
                required=False,
                help_text=db_field.help_text,
                widget=TextInput(attrs={"placeholder": "gemharbor://, https://go.example.com"}),
            )
        if isinstance(db_field, URLField):
            kwargs["assume_scheme"] = "https"
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if field and db_field.name == "parameters":
            field.widget.attrs |= {"rows": 3, "spellcheck": "false"}
        return field

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """Begin with what the network of the campaign in the address calls its macros."""
        initial: dict[str, Any] = super().get_changeform_initial_data(request)
        campaign = _campaign_in_address(request)
        if campaign is None:
            return initial
        return {"parameters": _known_parameters(campaign), **initial}

    def save_model(
        self, request: HttpRequest, obj: TrackingLink, form: forms.ModelForm, change: bool
    ) -> None:
        """Fill in what the network calls its macros, where nobody could see it before saving."""
        was_shown = _campaign_in_address(request) == obj.campaign
        if not change and not obj.parameters and not was_shown:
            obj.parameters = _known_parameters(obj.campaign)
            if obj.parameters:
                words = f"The parameters are those that {obj.campaign.partner}'s template knows."
                self.message_user(request, words, messages.INFO)
        super().save_model(request, obj, form, change)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Show the link ready to copy above the form that it is made of."""
        link = kwargs.get("obj")
        if isinstance(link, TrackingLink):
            saved = self.get_queryset(request).get(pk=link.pk)  # not what a refused form holds
            context["page"] = link_page(saved)
            context["may_set_up"] = allowed(request, Right.SET_UP)
        return super().render_change_form(request, context, *args, **kwargs)

    def response_add(
        self, request: HttpRequest, obj: TrackingLink, post_url_continue: str | None = None
    ) -> HttpResponse:
        """Go on at the link's own page, where it can be copied."""
        if "_addanother" in request.POST or "_popup" in request.POST:
            return super().response_add(request, obj, post_url_continue)
        self.message_user(request, f"{obj} is added. Copy its address below.", messages.SUCCESS)
        address = reverse("admin:apps_registry_trackinglink_change", args=[str(obj.pk)])
        return HttpResponseRedirect(address)

    def get_urls(self) -> list[URLPattern]:
        """Add the QR codes as files."""
        view = self.admin_site.admin_view(self.qr_view)
        files = [
            path(
                f"<path:object_id>/qr.{kind}",
                view,
                {"kind": kind},
                name=f"apps_registry_trackinglink_qr_{kind}",
            )
            for kind in _FILES
        ]
        return [*files, *super().get_urls()]

    def qr_view(self, request: HttpRequest, object_id: str, kind: str) -> HttpResponse:
        """Answer with a link's QR code, to be saved."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        link = self.get_queryset(request).filter(pk=object_id).first() if is_id(object_id) else None
        if link is None:
            raise Http404
        answer = HttpResponse(qr_file(link, kind), content_type=_FILES[kind])
        answer["Content-Disposition"] = f'attachment; filename="qr-{link.token}.{kind}"'
        return answer


def _campaign_in_address(request: HttpRequest) -> Campaign | None:
    key = request.GET.get("campaign", "")
    rows = Campaign.objects.select_related("partner")
    return rows.filter(pk=key).first() if is_id(key) else None


def _known_parameters(campaign: Campaign) -> str:
    return click_parameters(campaign.partner.template)
