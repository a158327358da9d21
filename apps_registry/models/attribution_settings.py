"""Attribution settings of a link, a partner or an app that override the defaults."""

import uuid
from typing import ClassVar

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from apps_registry.models.apps import App
from apps_registry.models.partners import Partner
from apps_registry.models.tracking_links import TrackingLink
from apps_registry.tenancy import TenantModel


def _between(least: int, most: int) -> list[MinValueValidator | MaxValueValidator]:
    return [MinValueValidator(least), MaxValueValidator(most)]


class ReinstallEvents(models.TextChoices):
    """Who gets the credit for events after a reinstall without a touchpoint."""

    ORIGINAL = "original", "To whom the first install was credited"
    ORGANIC = "organic", "To nobody"


class AttributionSettings(TenantModel):
    """Overrides of a link, a partner or an app, in this order; an empty field asks the next.

    A row without link, partner and app is for all apps of the organization.
    """

    audited: ClassVar[tuple[str, ...]] = (
        "app",
        "partner",
        "link",
        "click_window_hours",
        "impression_window_hours",
        "probabilistic_clicks",
        "probabilistic_impressions",
        "probabilistic_on_ios",
        "probabilistic_click_window_minutes",
        "probabilistic_impression_window_minutes",
        "reattribution_window_days",
        "inactivity_days",
        "reengagement_window_days",
        "reinstall_events",
        "least_seconds_to_install",
        "most_touchpoints_per_hour",
    )

    public_id = models.UUIDField(
        "ID in the API",
        default=uuid.uuid4,
        unique=True,
        editable=False,
        help_text="How the management API names these settings.",
    )
    app = models.ForeignKey(
        App,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        db_constraint=False,
        help_text="The app that these settings are for, for example Gem Harbor iOS.",
    )
    partner = models.ForeignKey(
        Partner,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        db_constraint=False,
        help_text="The partner whose touchpoints they are for, for example Unity Ads.",
    )
    link = models.ForeignKey(
        TrackingLink,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        db_constraint=False,
        help_text="The tracking link whose touchpoints they are for, for example Video 15 s.",
    )
    click_window_hours = models.PositiveIntegerField(
        "click window (hours)",
        null=True,
        blank=True,
        validators=_between(1, 720),
        help_text="How old a click may be and still win, for example 168 for 7 days.",
    )
    impression_window_hours = models.PositiveIntegerField(
        "impression window (hours)",
        null=True,
        blank=True,
        validators=_between(1, 168),
        help_text="How old an impression may be and still win, for example 24.",
    )
    probabilistic_clicks = models.BooleanField(
        "probabilistic clicks",
        null=True,
        blank=True,
        help_text=(
            "Credit an install to a click from the same address and kind of device if it is the "
            "only one, for example where no ID is shared. Off unless you switch it on."
        ),
    )
    probabilistic_impressions = models.BooleanField(
        "probabilistic impressions",
        null=True,
        blank=True,
        help_text="The same for ads that were only seen, for example video ads on TV.",
    )
    probabilistic_on_ios = models.BooleanField(
        "probabilistic matches on iOS",
        null=True,
        blank=True,
        help_text=(
            "Apple's rules forbid to recognize a device by its traits, for example by its address; "
            "switch it on only where you may."
        ),
    )
    probabilistic_click_window_minutes = models.PositiveIntegerField(
        "window for probabilistic clicks (minutes)",
        null=True,
        blank=True,
        validators=_between(5, 1440),
        help_text="How old such a click may be, for example 360 for 6 hours.",
    )
    probabilistic_impression_window_minutes = models.PositiveIntegerField(
        "window for probabilistic impressions (minutes)",
        null=True,
        blank=True,
        validators=_between(5, 1440),
        help_text="How old such an impression may be, for example 60.",
    )
    reattribution_window_days = models.PositiveIntegerField(
        "reinstall window (days)",
        null=True,
        blank=True,
        validators=_between(1, 730),
        help_text=(
            "For how long after its first install a device that comes back is a reinstall and "
            "not a new install, for example 90."
        ),
    )
    inactivity_days = models.PositiveIntegerField(
        "days of inactivity",
        null=True,
        blank=True,
        validators=_between(0, 365),
        help_text="How long a person must have been away to be won back, for example 7.",
    )
    reengagement_window_days = models.PositiveIntegerField(
        "re-engagement window (days)",
        null=True,
        blank=True,
        validators=_between(1, 30),
        help_text="How old the click may be that wins a person back, for example 7.",
    )
    reinstall_events = models.CharField(
        "events after a reinstall",
        max_length=16,
        blank=True,
        choices=ReinstallEvents.choices,
        help_text="Whom they are credited to when no ad led to the reinstall, for example nobody.",
    )
    least_seconds_to_install = models.PositiveIntegerField(
        "shortest time from click to first open (seconds)",
        null=True,
        blank=True,
        validators=_between(0, 60),
        help_text="A click closer to the first open is rejected as injected, for example 2.",
    )
    most_touchpoints_per_hour = models.PositiveIntegerField(
        "most touchpoints per device and hour",
        null=True,
        blank=True,
        validators=_between(2, 1000),
        help_text="A partner that sends more for one device loses all of them, for example 10.",
    )

    class Meta(TenantModel.Meta):
        db_table = "attribution_settings"
        verbose_name = "attribution settings"
        verbose_name_plural = "attribution settings"
        constraints = [
            models.CheckConstraint(
                condition=Q(link=None) | (Q(app=None) & Q(partner=None)),
                name="settings_of_a_link_name_only_it",
            ),
            models.UniqueConstraint(
                fields=["organization", "app", "partner", "link"],
                nulls_distinct=False,
                name="one_attribution_settings_each",
                violation_error_message="These settings exist already; change them.",
            ),
        ]

    def __str__(self) -> str:
        names = [str(owner) for owner in (self.app, self.partner, self.link) if owner]
        return " · ".join(names) or "All apps"
