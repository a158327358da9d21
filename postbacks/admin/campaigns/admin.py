"""The pages of campaigns: the list with figures, and the form below a campaign's figures.

A campaign's page also shows its links and its partner's rules.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import Case, Count, DecimalField, Q, QuerySet, Value, When
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps_registry.admin_base.health_columns import HEALTH_COLUMNS, HealthColumns, HealthList
from apps_registry.admin_base.list_cells import HideArchived, LifecycleColumns
from apps_registry.admin_base.permissions import allowed, membership_of
from apps_registry.admin_base.tenant_admin import ArchivingAdmin, TenantRelatedFilter
from apps_registry.models import Campaign, TrackingLink
from apps_registry.roles import Right
from apps_registry.tenancy import Lifecycle
from postbacks.admin.list_health import ListHealth
from postbacks.callbacks.currency.conversion import USD
from postbacks.insights import days_chart, wording
from postbacks.insights.campaign_figures import (
    CampaignFigures,
    GroupBy,
    count_rejected_installs,
    read_figures,
    sum_figures,
)
from postbacks.insights.days_chart import DaysChart
from postbacks.insights.figure_parts import Subject
from postbacks.insights.periods import DEFAULT_PERIOD, PERIODS, Period, period_of
from postbacks.models import CallbackRule, RuleStatus

NONE = "\N{EN DASH}"
_PERIOD = "period"


@dataclass(frozen=True, slots=True)
class CampaignCard:
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
    figures: tuple[CampaignCard, ...]
    charts: tuple[DaysChart, ...]
    days: tuple[FiguresRow, ...]
    links: tuple[FiguresRow, ...]
    rules: tuple[CallbackRule, ...]

    @property
    def is_archived(self) -> bool:
        return self.campaign.status == Lifecycle.ARCHIVED


def campaign_page(
    campaign: Campaign, period: Period, *, currency: str = USD
) -> CampaignFiguresView:
    """Return the page of a saved campaign."""
    by_day = read_figures([campaign.pk], period, by=GroupBy.DAY, currency=currency)
    by_link = read_figures([campaign.pk], period, by=GroupBy.LINK, currency=currency)
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


def _figures(whole: CampaignFigures, rejected: int) -> tuple[CampaignCard, ...]:
    row = FiguresRow.of("", whole)
    refused = (
        f"{wording.number(whole.refused)} more were refused as fraud or too old"
        if whole.refused
        else ""
    )
    counted_apart = ((whole.returns, "came back"), (rejected, "rejected as fraud"))
    more = ", ".join(f"{wording.number(count)} {kind}" for count, kind in counted_apart if count)
    return (
        CampaignCard("Clicks", row.clicks, refused),
        CampaignCard("Impressions", row.impressions),
        CampaignCard("Installs", row.installs, more),
        CampaignCard("Installs per click", row.rate, "installs of 100 clicks"),
        CampaignCard("Events", row.events, "after the install"),
        CampaignCard("Revenue", row.revenue, whole.revenue.note or "by each day's rate"),
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


class PeriodFilter(admin.SimpleListFilter):
    """Chooses the days over which figures are counted; all campaigns stay in the list."""

    title = "period"
    parameter_name = _PERIOD

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, str]]:
        return [(key, label) for key, (_, label) in PERIODS.items()]

    def queryset(self, request: HttpRequest, queryset: "QuerySet[Any]") -> "QuerySet[Any]":
        return queryset

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        period = self.value() if self.value() in PERIODS else DEFAULT_PERIOD
        for key, label in self.lookup_choices:
            yield {
                "selected": key == period,
                "query_string": changelist.get_query_string({_PERIOD: str(key)}),
                "display": label,
            }


_FIGURE = "figure_"
_SORTABLE: dict[str, Callable[[CampaignFigures], float | Decimal]] = {
    "clicks": lambda figures: figures.clicks,
    "impressions": lambda figures: figures.impressions,
    "installs": lambda figures: figures.installs,
    "rate": lambda figures: figures.rate_percent or 0,
    "events": lambda figures: figures.events,
    "revenue": lambda figures: figures.revenue.amount,  # amounts without a rate can't be compared
}


def _as_column(
    value: Callable[[CampaignFigures], float | Decimal], figures: Mapping[int, CampaignFigures]
) -> Case:
    whens = [When(pk=key, then=Value(Decimal(value(each)))) for key, each in figures.items()]
    return Case(*whens, default=Value(Decimal(0)), output_field=DecimalField())


class FiguredList(HealthList):
    """A list whose rows get their figures a page at a time."""

    model_admin: "CampaignAdmin"

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> "QuerySet[Any]":
        ordering = self.get_ordering(request, self.root_queryset)
        columns = {str(column).lstrip("-") for column in ordering}
        if names := [name for name in _SORTABLE if f"{_FIGURE}{name}" in columns]:
            keys = list(self.root_queryset.values_list("pk", flat=True))
            figures = read_figures(
                keys, _period(request), by=GroupBy.CAMPAIGN, currency=_currency(request)
            )
            self.root_queryset = self.root_queryset.annotate(
                **{f"{_FIGURE}{name}": _as_column(_SORTABLE[name], figures) for name in names}
            )
        return super().get_queryset(request, exclude_parameters)


if TYPE_CHECKING:

    class _Figured(Campaign):
        figures: CampaignFigures
        links: int


@admin.register(Campaign)
class CampaignAdmin(HealthColumns, LifecycleColumns, ArchivingAdmin):
    """Partners' promotions of apps."""

    health = ListHealth(Subject.CAMPAIGN)
    list_title = "Campaigns & tracking links"
    empty_list_text = (
        "Add a campaign once you have an app and a partner, so that installs can be credited to it."
    )
    list_display = [
        "named",
        "clicks",
        "impressions",
        "installs",
        "rate",
        "events",
        "revenue",
        *HEALTH_COLUMNS,
    ]
    export_columns = ("name", "app", "partner", "links", *list_display[1:], "state")
    list_select_related = ["app", "partner"]
    list_filter = [
        PeriodFilter,
        HideArchived,
        ("app", TenantRelatedFilter),
        ("partner", TenantRelatedFilter),
    ]
    list_fullwidth = True
    search_fields = ["name", "remote_campaign_id"]
    search_help_text = "Name or the network's campaign ID"
    ordering = ["name"]
    fixed_fields = ("app", "partner")
    fieldsets = [
        (
            None,
            {
                "fields": ["name", "app", "partner", "remote_campaign_id"],
                "description": "A partner's promotion of one app. App and partner stay as they are "
                "once the campaign is saved, since installs are credited to it.",
            },
        )
    ]
    detail_fields = ("public_id", "state", "created")
    readonly_fields = detail_fields

    class Media:
        css = {"all": ["postbacks/overview.css", "postbacks/campaigns.css"]}

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return FiguredList

    def prepare_rows(self, request: HttpRequest, rows: Sequence[Any]) -> None:
        """Add health, figures and the number of links in use to the campaigns of a page."""
        super().prepare_rows(request, rows)
        keys = [row.pk for row in rows]
        figures = read_figures(
            keys, _period(request), by=GroupBy.CAMPAIGN, currency=_currency(request)
        )
        in_use = TrackingLink.objects.filter(campaign__in=keys, status=Lifecycle.ACTIVE)
        links = dict(in_use.values_list("campaign").annotate(Count("pk")).order_by())
        for row in rows:
            row.figures = figures.get(row.pk, CampaignFigures())
            row.links = links.get(row.pk, 0)

    @admin.display(description="name", ordering="name")
    def named(self, row: Campaign) -> SafeString:
        return format_html(
            '<bdi>{}</bdi> <span class="cm-whose"><bdi>{}</bdi> · <bdi>{}</bdi></span>',
            row.name,
            row.app,
            row.partner,
        )

    @admin.display(description="links")
    def links(self, row: "_Figured") -> int:
        return row.links

    @admin.display(description="clicks", ordering="figure_clicks")
    def clicks(self, row: "_Figured") -> str:
        return wording.number(row.figures.clicks)

    @admin.display(description="impressions", ordering="figure_impressions")
    def impressions(self, row: "_Figured") -> str:
        return wording.number(row.figures.impressions)

    @admin.display(description="installs", ordering="figure_installs")
    def installs(self, row: "_Figured") -> str:
        return wording.number(row.figures.installs)

    @admin.display(description="installs per click", ordering="figure_rate")
    def rate(self, row: "_Figured") -> str:
        percent = row.figures.rate_percent
        return NONE if percent is None else wording.percent(percent)

    @admin.display(description="events", ordering="figure_events")
    def events(self, row: "_Figured") -> str:
        return wording.number(row.figures.events)

    @admin.display(description="revenue", ordering="figure_revenue")
    def revenue(self, row: "_Figured") -> str:
        return str(row.figures.revenue)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        campaign = kwargs.get("obj")
        if isinstance(campaign, Campaign):
            saved = Campaign.objects.select_related("app", "partner").get(pk=campaign.pk)
            context["page"] = campaign_page(saved, _period(request), currency=_currency(request))
            context["may_set_up"] = allowed(request, Right.SET_UP)
        return super().render_change_form(request, context, *args, **kwargs)

    def response_add(
        self, request: HttpRequest, obj: Campaign, post_url_continue: str | None = None
    ) -> HttpResponse:
        if "_addanother" in request.POST or "_popup" in request.POST:
            return super().response_add(request, obj, post_url_continue)
        self.message_user(request, f"{obj} is added. Now it needs a tracking link.")
        address = reverse("admin:apps_registry_campaign_change", args=[str(obj.pk)])
        return HttpResponseRedirect(address)


def _period(request: HttpRequest) -> Period:
    membership = membership_of(request)
    zone = membership.organization.time_zone if membership else "UTC"
    return period_of(request.GET.get(_PERIOD, ""), now=datetime.now(UTC), zone=ZoneInfo(zone))


def _currency(request: HttpRequest) -> str:
    membership = membership_of(request)
    return membership.organization.currency if membership else USD
