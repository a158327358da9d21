"""Gather what the page of a campaign shows: its figures, its links, and its partner's rules."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from django.db.models import Q

from apps_registry.models import Campaign, TrackingLink
from apps_registry.tenancy import Lifecycle
from postbacks.insights import days_chart, wording
from postbacks.insights.campaign_figures import (
    CampaignFigures,
    GroupBy,
    count_rejected_installs,
    read_figures,
    sum_figures,
)
from postbacks.insights.days_chart import DaysChart
from postbacks.insights.periods import PERIODS, Period
from postbacks.models import CallbackRule, RuleStatus

NONE = "\N{EN DASH}"


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure with its label and a note."""

    label: str
    text: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class FiguresRow:
    """A day's or a link's figures as people read them."""

    name: str
    clicks: str
    impressions: str
    installs: str
    rate: str
    events: str
    revenue: str
    link: TrackingLink | None = None

    @classmethod
    def of(
        cls, name: str, figures: CampaignFigures, link: TrackingLink | None = None
    ) -> "FiguresRow":
        percent = figures.rate_percent
        return cls(
            name=name,
            clicks=wording.number(figures.clicks),
            impressions=wording.number(figures.impressions),
            installs=wording.number(figures.installs),
            rate=NONE if percent is None else wording.percent(percent),
            events=wording.number(figures.events),
            revenue=str(figures.revenue),
            link=link,
        )


@dataclass(frozen=True, slots=True)
class CampaignFiguresView:
    """The context of the page."""

    campaign: Campaign
    period: Period
    periods: tuple[tuple[str, str], ...]
    figures: tuple[Figure, ...]
    charts: tuple[DaysChart, ...]
    days: tuple[FiguresRow, ...]
    links: tuple[FiguresRow, ...]
    rules: tuple[CallbackRule, ...]

    @property
    def is_archived(self) -> bool:
        return self.campaign.status == Lifecycle.ARCHIVED


def campaign_page(campaign: Campaign, period: Period) -> CampaignFiguresView:
    """Return the page of a saved campaign."""
    by_day = read_figures([campaign.pk], period, by=GroupBy.DAY)
    by_link = read_figures([campaign.pk], period, by=GroupBy.LINK)
    whole = sum_figures(list(by_day.values()))
    return CampaignFiguresView(
        campaign=campaign,
        period=period,
        periods=tuple((key, label) for key, (_, label) in PERIODS.items()),
        figures=_figures(whole, count_rejected_installs(campaign, period)),
        charts=_charts(by_day, period.days) if by_day and len(period.days) > 1 else (),
        days=tuple(_day_row(day, by_day) for day in reversed(period.days)) if by_day else (),
        links=_link_rows(campaign, by_link),
        rules=_rules(campaign),
    )


def _figures(whole: CampaignFigures, rejected: int) -> tuple[Figure, ...]:
    row = FiguresRow.of("", whole)
    refused = (
        f"{wording.number(whole.refused)} more were refused as fraud or too old"
        if whole.refused
        else ""
    )
    counted_apart = ((whole.returns, "came back"), (rejected, "rejected as fraud"))
    more = ", ".join(f"{wording.number(count)} {kind}" for count, kind in counted_apart if count)
    return (
        Figure("Clicks", row.clicks, refused),
        Figure("Impressions", row.impressions),
        Figure("Installs", row.installs, more),
        Figure("Installs per click", row.rate, "installs of 100 clicks"),
        Figure("Events", row.events, "after the install"),
        Figure("Revenue", row.revenue, "US dollars by each day's rate"),
    )


def _charts(by_day: Mapping[date, CampaignFigures], days: Sequence[date]) -> tuple[DaysChart, ...]:
    figures = [by_day.get(day, CampaignFigures()) for day in days]
    return (
        days_chart.draw_days("Clicks", days, [of_day.clicks for of_day in figures]),
        days_chart.draw_days("Installs", days, [of_day.installs for of_day in figures]),
    )


def _day_row(day: date, by_day: Mapping[date, CampaignFigures]) -> FiguresRow:
    return FiguresRow.of(days_chart.day_name(day), by_day.get(day, CampaignFigures()))


def _link_rows(
    campaign: Campaign, by_link: Mapping[int | None, CampaignFigures]
) -> tuple[FiguresRow, ...]:
    links = TrackingLink.objects.filter(campaign=campaign).order_by("status", "name", "pk")
    rows = [
        FiguresRow.of(link.name, by_link.get(link.pk, CampaignFigures()), link)
        for link in links
        if link.status == Lifecycle.ACTIVE or link.pk in by_link
    ]
    if None in by_link:
        rows.append(FiguresRow.of("Without a link", by_link[None]))
    return tuple(rows)


def _rules(campaign: Campaign) -> tuple[CallbackRule, ...]:
    rules = CallbackRule.objects.filter(
        Q(app=None) | Q(app=campaign.app_id), partner=campaign.partner_id
    )
    return tuple(rules.exclude(status=RuleStatus.ARCHIVED).order_by("name", "pk"))
