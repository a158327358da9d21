"""The meanings of conversion values, as rows on an app's page."""

from typing import Any, ClassVar

from django import forms
from django.db import models
from django.http import HttpRequest

from apps_registry.admin_base.tenant_admin import TenantForm, TenantInline
from apps_registry.models import ConversionMeaning
from apps_registry.models.conversions import check_meanings
from apps_registry.roles import Right

_MEANING = ["event_name", "least_revenue", "most_revenue", "currency"]


class MeaningFormSet(forms.BaseInlineFormSet):
    """Checks that no two rows give the same value a meaning."""

    def clean(self) -> None:
        super().clean()
        if any(self.errors):
            return
        check_meanings(
            form.instance
            for form in self.forms
            if form not in self.deleted_forms and (form.instance.pk or form.has_changed())
        )


class MeaningForm(TenantForm):
    """Requires the fields that its kind of row must have."""

    required_fields: ClassVar[tuple[str, ...]]

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        for name in self.required_fields:
            if name in self.fields:  # a read-only page has no fields
                self.fields[name].required = True
        for name in ("least_revenue", "most_revenue"):
            if (amount := self.initial.get(name)) is not None:
                self.initial[name] = f"{amount.normalize():f}"  # without trailing zeros


class FineForm(MeaningForm):
    """Asks for a range of fine values."""

    required_fields = ("first_value", "last_value")


class CoarseForm(MeaningForm):
    """Asks for a coarse value."""

    required_fields = ("coarse_value",)


class MeaningInline(TenantInline):
    """Meanings of one kind, with an empty row for browsers without JavaScript."""

    model = ConversionMeaning
    formset = MeaningFormSet
    extra = 1
    hide_title = True
    right_to_delete = Right.SET_UP

    def rows(self) -> "models.QuerySet[Any]":
        """Return the organization's meanings of this kind."""
        raise NotImplementedError

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[models.Model]:
        rows = self.rows()
        return rows if self.has_view_permission(request) else rows.none()


class FineInline(MeaningInline):
    """Meanings of ranges of fine values."""

    form = FineForm
    verbose_name = "conversion value"
    verbose_name_plural = "What conversion values mean"
    fields = ["first_value", "last_value", *_MEANING]
    explained = (
        "What your app means by the conversion value that it gives to Apple, from 0 to 63: one row "
        "for a range of values, for example from 10 to 19: purchase, 4.99 to 9.99. Copies keep "
        "what their value meant when they came."
    )

    def rows(self) -> "models.QuerySet[Any]":
        return ConversionMeaning.objects.filter(coarse_value="").order_by("first_value")


class CoarseInline(MeaningInline):
    """Meanings of coarse values, in every postback or in one of the three."""

    form = CoarseForm
    verbose_name = "coarse value"
    verbose_name_plural = "What coarse conversion values mean"
    fields = ["coarse_value", "sequence", *_MEANING]
    explained = (
        "Where few people installed the app, and in the second and third postback, Apple says only "
        "low, medium or high: what each means, for example High in the second postback: subscribed."
    )

    def rows(self) -> "models.QuerySet[Any]":
        rows = ConversionMeaning.objects.exclude(coarse_value="")
        return rows.order_by("coarse_value", "sequence")
