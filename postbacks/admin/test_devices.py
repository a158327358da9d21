"""The page of test devices: who marks a device, by which ID, and for how long."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.safestring import SafeString

from apps_registry.admin_base.list_cells import CreatedColumn, day
from apps_registry.admin_base.tenant_admin import TenantAdmin, TenantForm
from apps_registry.admin_base.theme import Select, Tone, badge
from apps_registry.roles import Right
from postbacks.admin.pages.forget_device import KINDS
from postbacks.models import TestDevice
from postbacks.models.test_devices import FEWEST_DAYS, MOST_DAYS
from postbacks.privacy.device_marks import days_error, device_error, mark_device, mark_error
from postbacks.privacy.tombstones import ID_KINDS


class TestDeviceForm(TenantForm):
    """Names a device by one of its ids, which is not kept."""

    id_kind = forms.ChoiceField(
        label="Which ID you have",
        choices=[(kind, KINDS[kind]) for kind in ID_KINDS],
        initial="gaid",
        widget=Select(choices=[(kind, KINDS[kind]) for kind in ID_KINDS]),
        help_text="The kind of ID that your app reports for the device, for example the Google "
        "advertising ID under Settings → Privacy → Ads.",
    )
    value = forms.CharField(
        label="The ID",
        max_length=255,
        widget=forms.TextInput(attrs={"class": "pb-input", "autocomplete": "off"}),
        help_text="With or without dashes, in small or capital letters, for example "
        "38400000-8cf0-11bd-b23e-10b96e40000d. Only a digest and the last four characters are "
        "kept.",
    )
    days = forms.IntegerField(
        label="For how many days",
        initial=7,
        widget=forms.NumberInput(attrs={"class": "pb-input"}),
        help_text=f"{FEWEST_DAYS} to {MOST_DAYS}, for example 7. Afterwards the fraud checks apply "
        "to it again.",
    )

    class Meta:
        model = TestDevice
        fields: ClassVar[list[str]] = ["name"]

    def clean_days(self) -> int:
        days: int = self.cleaned_data["days"]
        if error := days_error(days):
            raise forms.ValidationError(error)
        return days

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        kind, value = cleaned.get("id_kind"), cleaned.get("value")
        if kind and value and (error := device_error(kind, value) or mark_error(kind, value)):
            self.add_error("value", error)
        return cleaned

    def _get_validation_exclusions(self) -> set[str]:
        # A mark that has ended gives way to the new one, and `mark_error` has looked for others.
        return super()._get_validation_exclusions() | {"organization"}


@admin.register(TestDevice)
class TestDeviceAdmin(CreatedColumn, TenantAdmin):
    """Devices of testers, which the fraud checks leave alone for some days."""

    form = TestDeviceForm
    single_save_button = True
    empty_list_text = (
        "Mark the device that you test with: it may click and install within a second, as often as "
        "you like."
    )
    list_display = ["name", "state", "id_ending", "created", "ends"]
    search_fields = ["name"]
    search_help_text = "Name"
    ordering = ["-id"]
    actions = ["remove"]
    right_to_delete = Right.SET_UP
    right_to_change = None  # a mark is removed and set again
    detail_fields: ClassVar[tuple[str, ...]] = ("name", "state", "id_ending", "created", "ends")
    readonly_fields = ("state", "id_ending", "created", "ends")

    def get_fieldsets(self, request: HttpRequest, obj: Model | None = None) -> Any:
        if obj is not None:
            return [(None, {"fields": self.detail_fields})]
        explained = (
            "Clicks of a test device are not rejected for coming too shortly before the install, "
            "too often, during the download or from a data center's or VPN's address. It counts in "
            "all your apps, for installs that come from now on."
        )
        fields = ["name", "id_kind", "value", "days"]
        return [(None, {"fields": fields, "description": explained})]

    def save_model(
        self, request: HttpRequest, obj: TestDevice, form: forms.ModelForm, change: bool
    ) -> None:
        if not change:
            cleaned = form.cleaned_data
            mark_device(obj, kind=cleaned["id_kind"], value=cleaned["value"], days=cleaned["days"])

    @admin.action(permissions=["delete"], description="Remove selected test devices")
    def remove(
        self, request: HttpRequest, queryset: "QuerySet[TestDevice]"
    ) -> TemplateResponse | None:
        page = self.confirm_action(
            request,
            queryset,
            action="remove",
            question="Remove these test devices?",
            description="The fraud checks apply to them again. An install of the last day is "
            "judged again with them.",
        )
        if page:
            return page
        queryset.delete()
        self.message_user(request, "Removed.", messages.SUCCESS)
        return None

    @admin.display(description="status", ordering="ends_at")
    def state(self, row: TestDevice) -> SafeString:
        if row.ends_at <= timezone.now():
            return badge("Ended", Tone.STILL)
        return badge("Active", Tone.GOOD)

    @admin.display(description="ID")
    def id_ending(self, row: TestDevice) -> str:
        return f"{KINDS.get(row.kind, row.kind)} {row.masked}"

    @admin.display(description="ends", ordering="ends_at")
    def ends(self, row: TestDevice) -> SafeString | str:
        return day(row.ends_at)
