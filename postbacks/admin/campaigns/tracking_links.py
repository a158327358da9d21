"""The pages of tracking links: the builder, and a link with its addresses, QR code and macros."""

import io
from dataclasses import dataclass
from typing import Any

import segno
from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Field, QuerySet, URLField
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from apps_registry.admin_base.form_fields import CommaSeparatedField
from apps_registry.admin_base.list_cells import HideArchived, LifecycleColumns
from apps_registry.admin_base.permissions import allowed
from apps_registry.admin_base.tenant_admin import ArchivingAdmin, TenantForm, TenantRelatedFilter
from apps_registry.admin_base.theme import TextInput
from apps_registry.links import normalized_parameters
from apps_registry.models import Campaign, TrackingLink
from apps_registry.models.apps import Platform
from apps_registry.models.tracking_links import DESTINATION
from apps_registry.roles import Right
from apps_registry.tenancy import Lifecycle
from postbacks.admin.logs.base import is_id
from postbacks.callbacks.partner_templates import ClickMacro, click_parameters, template_named
from postbacks.insights.left_out_values import LeftOutValue, left_out_values
from postbacks.models import CallbackRule, RuleStatus

_QR_TYPES = {"svg": "image/svg+xml", "png": "image/png"}
_QUIET_ZONE = 4  # modules of white around the code, which readers need
_PNG_SCALE = 12  # pixels to a module: 400 pixels and more, enough for print on a card

_DEVICE = "An install on a device with the same ID is credited to this click."
_CLICK = (
    "The network's own ID of the click. It goes back to the network with the install, so that it "
    "knows which click earned it."
)

# Parameters that we read, under other vendors' names too: the macro that gets the value and its
# meaning. The macro is empty where the value is kept only under the parameter's own name.
_KNOWN: dict[str, tuple[str, str]] = {
    **dict.fromkeys(
        ("click_id", "clickid", "cl", "external_click_id", "transaction_id", "af_click_id"),
        ("click_id", _CLICK),
    ),
    **dict.fromkeys(
        (
            "advertising_id",
            "gaid",
            "gps_adid",
            "aifa",
            "google_aid",
            "gaid_raw",
            "idfa",
            "ios_ifa",
            "ifa_raw",
            "oaid",
            "fire_adid",
            "idfv",
        ),
        ("", _DEVICE),
    ),
    **dict.fromkeys(
        ("site_id", "af_siteid", "siteid"),
        ("site_id", "Where the ad was shown: the network's ID of the app or site."),
    ),
    **dict.fromkeys(
        ("creative", "creative_name", "ad", "af_ad"),
        ("creative_name", "Which ad was clicked."),
    ),
    **dict.fromkeys(
        ("ip", "ip_address", "af_ip", "device_ip"),
        ("", "The device's address, where the network's server reports the click."),
    ),
    **dict.fromkeys(
        ("ua", "user_agent", "af_ua", "device_ua"),
        ("", "The device's browser, where the network's server reports the click."),
    ),
    "deep_link": ("", "What the app opens instead of the link's own deep link."),
}


@dataclass(frozen=True, slots=True)
class LinkParameter:
    """One parameter: the value that the network fills in, and the macros that carry it on."""

    name: str
    value: str
    macros: tuple[str, ...]
    meaning: str


def explain_parameters(text: str) -> tuple[LinkParameter, ...]:
    pairs = (piece.partition("=") for piece in normalized_parameters(text).split("&") if piece)
    return tuple(_explained(name, value) for name, _, value in pairs)


def _explained(name: str, value: str) -> LinkParameter:
    macro, meaning = _KNOWN.get(name.lower(), ("", "Kept as it comes, for your callback rules."))
    own = f"click.{name}"
    macros = tuple("{{" + each + "}}" for each in (macro, own) if each)
    return LinkParameter(name, value, macros, meaning)


def has_click_id(text: str) -> bool:
    return any("{{click_id}}" in parameter.macros for parameter in explain_parameters(text))


def unused_macros(name: str, text: str) -> tuple[ClickMacro, ...]:
    """Return the macros that a template's rules use and a link's parameters lack."""
    template = template_named(name) if name else None
    names = {parameter.name for parameter in explain_parameters(text)}
    macros = template.click_macros if template else ()
    return tuple(macro for macro in macros if macro.parameter not in names)


@dataclass(frozen=True, slots=True)
class LeftOutRow:
    """A value that was left out of clicks, and the macro that the network's template has for it."""

    sent: LeftOutValue
    known_macro: str


@dataclass(frozen=True, slots=True)
class LinkPage:
    """The context of a link's page."""

    link: TrackingLink
    click_url: str
    impression_url: str
    plain_url: str
    qr: SafeString
    parameters: tuple[LinkParameter, ...]
    has_click_id: bool
    unused: tuple[ClickMacro, ...]
    rules: tuple[CallbackRule, ...]
    goes_nowhere: bool
    left_out: tuple[LeftOutRow, ...]

    @property
    def is_archived(self) -> bool:
        return self.link.status == Lifecycle.ARCHIVED

    @property
    def is_ios(self) -> bool:
        """Return whether the App Store lies between click and install."""
        return self.link.campaign.app.platform == Platform.IOS

    @property
    def is_android(self) -> bool:
        """Return whether Google Play hands the click on to the app."""
        return self.link.campaign.app.platform == Platform.ANDROID


def link_page(link: TrackingLink) -> LinkPage:
    """Return the page of a saved link."""
    partner = link.campaign.partner
    rules = CallbackRule.objects.filter(partner=partner).exclude(status=RuleStatus.ARCHIVED)
    return LinkPage(
        link=link,
        click_url=link.click_url,
        impression_url=link.impression_url,
        plain_url=link.plain_url,
        qr=qr_inline(link),
        parameters=explain_parameters(link.parameters),
        has_click_id=has_click_id(link.parameters),
        unused=unused_macros(partner.template, link.parameters),
        rules=tuple(rules.order_by("name", "pk")),
        left_out=_left_out(link),
        goes_nowhere=not (link.store_url or link.fallback_url or link.campaign.app.store_id),
    )


def _left_out(link: TrackingLink) -> tuple[LeftOutRow, ...]:
    meanings = {
        parameter.name: parameter.value
        for parameter in explain_parameters(click_parameters(link.campaign.partner.template))
    }
    return tuple(
        LeftOutRow(value, meanings.get(value.parameter, "")) for value in left_out_values(link)
    )


def qr_inline(link: TrackingLink) -> SafeString:
    drawn = _qr(link).svg_inline(
        border=_QUIET_ZONE, omitsize=True, dark="#000", light="#fff", svgclass="lk-code"
    )
    return mark_safe(drawn)  # noqa: S308  # it consists of squares; the address is no text in it


def qr_file(link: TrackingLink, kind: str) -> bytes:
    """Return the QR code as a file; `kind` is `svg` or `png`."""
    file = io.BytesIO()
    _qr(link).save(file, kind=kind, border=_QUIET_ZONE, scale=_PNG_SCALE, dark="#000", light="#fff")
    return file.getvalue()


def _qr(link: TrackingLink) -> segno.QRCode:
    return segno.make_qr(link.plain_url, error="m")


class DestinationsField(CommaSeparatedField):
    """Schemes and hosts separated by commas."""

    item_validator = DESTINATION
    item_label = "a destination"


class TrackingLinkForm(TenantForm):
    """Takes parameters as people copy them, with the rest of the address around them."""

    def clean_parameters(self) -> str:
        return normalized_parameters(self.cleaned_data["parameters"])


@admin.register(TrackingLink)
class TrackingLinkAdmin(LifecycleColumns, ArchivingAdmin):
    """The click and impression addresses behind campaigns' ads."""

    form = TrackingLinkForm
    empty_list_text = (
        "A tracking link is the address behind an ad: it records the click and leads to the "
        "store. Add one for each campaign, and give it to the network."
    )
    list_display = ["name", "campaign", "partner_name", "address", "state", "created"]
    list_select_related = ["campaign__partner", "campaign__app"]
    list_filter = [HideArchived, ("campaign", TenantRelatedFilter)]
    search_fields = ["name", "token", "campaign__name"]
    search_help_text = "Name, campaign, or the end of the link's address"
    export_values = {"address": lambda link: link.plain_url}
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
            "What the network reports",
            {
                "fields": ["parameters"],
                "description": "A network fills its own macros in at each click, for example its "
                "ID of the click. These parameters are added to the link.",
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
    detail_fields = ("public_id", "token", "state", "created")
    readonly_fields = detail_fields

    class Media:
        css = {"all": ["postbacks/links.css"]}

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Any]":
        return super().get_queryset(request).select_related("campaign__partner", "campaign__app")

    @admin.display(description="partner", ordering="campaign__partner__name")
    def partner_name(self, link: TrackingLink) -> str:
        return str(link.campaign.partner)

    @admin.display(description="address", ordering="token")
    def address(self, link: TrackingLink) -> SafeString:
        return format_html('<span class="pb-mono">/c/{}</span>', link.token)

    def formfield_for_dbfield(
        self, db_field: "Field[Any, Any]", request: HttpRequest, **kwargs: Any
    ) -> forms.Field | None:
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
        initial: dict[str, Any] = super().get_changeform_initial_data(request)
        campaign = _campaign_in_address(request)
        if campaign is None:
            return initial
        return {"parameters": _known_parameters(campaign), **initial}

    def save_model(
        self, request: HttpRequest, obj: TrackingLink, form: forms.ModelForm, change: bool
    ) -> None:
        """Fill the network's macros in where the form could not show them before saving."""
        was_shown = _campaign_in_address(request) == obj.campaign
        if not change and not obj.parameters and not was_shown:
            obj.parameters = _known_parameters(obj.campaign)
            if obj.parameters:
                note = f"The parameters are those that {obj.campaign.partner}'s template knows."
                self.message_user(request, note, messages.INFO)
        super().save_model(request, obj, form, change)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        link = kwargs.get("obj")
        if isinstance(link, TrackingLink):
            saved = self.get_queryset(request).get(pk=link.pk)  # not the values of a refused form
            context["page"] = link_page(saved)
            context["may_set_up"] = allowed(request, Right.SET_UP)
        return super().render_change_form(request, context, *args, **kwargs)

    def response_add(
        self, request: HttpRequest, obj: TrackingLink, post_url_continue: str | None = None
    ) -> HttpResponse:
        if "_addanother" in request.POST or "_popup" in request.POST:
            return super().response_add(request, obj, post_url_continue)
        self.message_user(request, f"{obj} is added. Copy its address below.", messages.SUCCESS)
        address = reverse("admin:apps_registry_trackinglink_change", args=[str(obj.pk)])
        return HttpResponseRedirect(address)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.qr_view)
        files = [
            path(
                f"<path:object_id>/qr.{kind}",
                view,
                {"kind": kind},
                name=f"apps_registry_trackinglink_qr_{kind}",
            )
            for kind in _QR_TYPES
        ]
        return [*files, *super().get_urls()]

    def qr_view(self, request: HttpRequest, object_id: str, kind: str) -> HttpResponse:
        """Return a link's QR code as a download."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        link = self.get_queryset(request).filter(pk=object_id).first() if is_id(object_id) else None
        if link is None:
            raise Http404
        response = HttpResponse(qr_file(link, kind), content_type=_QR_TYPES[kind])
        response["Content-Disposition"] = f'attachment; filename="qr-{link.token}.{kind}"'
        return response


def _campaign_in_address(request: HttpRequest) -> Campaign | None:
    key = request.GET.get("campaign", "")
    rows = Campaign.objects.select_related("partner")
    return rows.filter(pk=key).first() if is_id(key) else None


def _known_parameters(campaign: Campaign) -> str:
    return click_parameters(campaign.partner.template)
