"""The page to forget a device: name it, preview what would be emptied, follow the work."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from apps_registry.admin_base.permissions import allowed
from apps_registry.models import App
from apps_registry.roles import Right
from apps_registry.tenancy import current_organization
from postbacks.models import ErasureMode, ErasureRequest, ErasureState
from postbacks.privacy.requests import DeviceToErase, id_error, preview_counts, request_erasure
from postbacks.privacy.tombstones import ID_KINDS

NEWEST = 50  # requests that the page shows
KINDS = {
    "install_id": "Install ID (made by the SDK)",
    "web_id": "Web ID",
    "idfa": "IDFA (iOS)",
    "gaid": "Google advertising ID (Android)",
    "oaid": "OAID (Android without Google)",
    "amazon_id": "Fire advertising ID (Amazon)",
    "advertising_id": "Advertising ID",
    "idfv": "IDFV (iOS)",
    "app_set_id": "App set ID (Android)",
    "android_id": "Android ID",
    "customer_user_id": "Your own user ID",
}
_TABLES = {
    "install": ("install", "installs"),
    "touchpoint": ("click or impression", "clicks and impressions"),
    "event": ("event", "events"),
    "postback": ("postback", "postbacks"),
    "delivery_attempt": ("delivery attempt", "delivery attempts"),
    "skipped": ("postback that is not sent any more", "postbacks that are not sent any more"),
}
_TONES = {
    ErasureState.WAITING: "busy",
    ErasureState.RUNNING: "busy",
    ErasureState.DONE: "good",
}


class DeviceForm(forms.Form):
    """Asks for a device by one of its ids."""

    app: forms.ModelChoiceField = forms.ModelChoiceField(
        queryset=None,
        empty_label=None,
        label="App",
        help_text="The app on the device. Forget a person who uses several of your apps in "
        "each of them.",
    )
    kind = forms.ChoiceField(
        choices=[(kind, KINDS[kind]) for kind in ID_KINDS],
        label="Which ID you have",
        help_text="The person finds it in your app or its settings; support often has your own "
        "user ID.",
    )
    value = forms.CharField(
        label="The ID",
        max_length=255,
        help_text="For example 38400000-8cf0-11bd-b23e-10b96e40000d. It is not kept.",
    )
    mode = forms.ChoiceField(
        choices=ErasureMode.choices,
        label="What for",
        help_text="For good: whatever the device sends later is refused. For tests: it may install "
        "again, as if it were new.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        app = self.fields["app"]
        assert isinstance(app, forms.ModelChoiceField)  # as declared above  # noqa: S101
        app.queryset = App.objects.order_by("name")
        for name, field in self.fields.items():
            field.widget.attrs.update(
                {"class": "rule-input", "aria-describedby": f"id_{name}_help"}
            )

    def clean_value(self) -> str:
        value: str = self.cleaned_data["value"]
        if fault := id_error(value):
            raise forms.ValidationError(fault)
        return value

    @property
    def asked(self) -> DeviceToErase:
        values: Mapping[str, Any] = self.cleaned_data
        organization_id = current_organization()
        assert organization_id is not None  # the middleware has opened it  # noqa: S101
        ids = {values["kind"]: values["value"]}
        return DeviceToErase(organization_id, values["app"].pk, ids, values["mode"])


@require_http_methods(["GET", "HEAD", "POST"])
def forget_page(request: HttpRequest) -> HttpResponse:
    """Show the form and earlier requests; erase once the person has confirmed the preview."""
    may_forget = allowed(request, Right.MANAGE)
    if request.method != "POST":
        return _page(request, DeviceForm() if may_forget else None)
    if not may_forget:
        raise PermissionDenied
    form = DeviceForm(request.POST)
    if not form.is_valid():
        return _page(request, form)
    if not request.POST.get("confirmed"):
        return _page(request, form, counts=_count_labels(preview_counts(form.asked)))
    request_erasure(form.asked)
    messages.success(request, "The device is being forgotten; this page shows how far it is.")
    return HttpResponseRedirect(reverse("admin:forget_device"))


def _count_labels(counts: Mapping[str, int]) -> list[str]:
    return [
        f"{count:,} {singular if count == 1 else plural}"
        for table, (singular, plural) in _TABLES.items()
        if (count := counts.get(table, 0))
    ]


def _page(
    request: HttpRequest, form: DeviceForm | None, counts: list[str] | None = None
) -> TemplateResponse:
    rows = ErasureRequest.objects.select_related("app")[:NEWEST]
    context = {
        **admin.site.each_context(request),
        "title": "Forget a device",
        "form": form,
        "counts": counts,
        "is_look": counts is not None,
        "requests": [
            {
                "row": row,
                "kind": KINDS.get(row.kind, row.kind),
                "emptied": ", ".join(_count_labels(row.counts)),
                "tone": _TONES[ErasureState(row.state)],
            }
            for row in rows
        ],
        "is_at_work": any(row.state != ErasureState.DONE for row in rows),
    }
    return TemplateResponse(request, "admin/erasure/forget.html", context)
