"""The tiers of the waterfall with what an organization has set for all its apps, for people."""

from dataclasses import dataclass

from apps_registry.models import AttributionSettings
from postbacks.admin.attribution_settings_wording import SETTINGS, in_words, is_set, usual


@dataclass(frozen=True, slots=True)
class Tier:
    """One tier: what it takes to win in it, and how long before the install it may have been.

    `term` is what others call it.
    """

    title: str
    term: str
    text: str
    window: str
    is_off: bool = False


@dataclass(frozen=True, slots=True)
class Waterfall:
    """All tiers, and the row that holds for all apps, if there is one."""

    tiers: tuple[Tier, ...]
    row: AttributionSettings | None


def waterfall() -> Waterfall:
    """Return the tiers as they hold where no app, partner or link says otherwise."""
    row = AttributionSettings.objects.filter(app=None, partner=None, link=None).first()
    holds = {
        column: in_words(column, value)
        if row is not None and is_set(value := getattr(row, column))
        else usual(column)
        for column in SETTINGS
    }
    return Waterfall(
        tiers=(
            Tier(
                "A click that proves itself",
                "Deterministic click",
                "Google Play's install referrer or Apple's AdServices names it, or ad and app saw "
                "the same advertising ID or click ID.",
                holds["click_window_hours"],
            ),
            Tier(
                "A click that fits",
                "Probabilistic click",
                "The same address and the same kind of device, and no other device fits. Such a "
                "guess can be wrong.",
                holds["probabilistic_click_window_minutes"],
                is_off=holds["probabilistic_clicks"] == "off",
            ),
            Tier(
                "An impression that proves itself",
                "Deterministic view-through",
                "The ad was only seen, and ad and app saw the same advertising ID.",
                holds["impression_window_hours"],
            ),
            Tier(
                "An impression that fits",
                "Probabilistic view-through",
                "The ad was only seen, and the device is a guess.",
                holds["probabilistic_impression_window_minutes"],
                is_off=holds["probabilistic_impressions"] == "off",
            ),
            Tier("Nobody", "Organic", "The install is organic.", ""),
        ),
        row=row,
    )
