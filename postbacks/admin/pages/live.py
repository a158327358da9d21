"""The live page: events and postbacks as they happen, and the rows that other pages ask for.

A page asks every three seconds for what is newer, and is answered at once, also with nothing: no
open page holds a thread of the web server.
"""

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.views.decorators.http import require_safe

from apps_registry.admin_base.permissions import allowed, membership_of
from apps_registry.admin_base.theme import Tone
from apps_registry.models import App, Membership, SdkKey
from apps_registry.roles import Right
from apps_registry.tenancy import Lifecycle
from postbacks.admin.logs.base import is_id
from postbacks.admin.logs.filters import LiveFilter
from postbacks.admin.logs.postback_detail import OUTCOMES
from postbacks.insights import wording
from postbacks.insights.live import (
    LiveEvent,
    LiveKind,
    LivePostback,
    LiveSearch,
    SeenRow,
    Stream,
    identifiers_of_text,
    rings,
)
from postbacks.models import PostbackStatus, SkipReason
from postbacks.web.middleware import own_transactions

MOST_SHOWN = 50  # rows of an answer
NONE = "\N{EN DASH}"
_SKIP_REASONS = {reason.value: str(reason.label) for reason in SkipReason}
_TEST_DEVICE = ' <span class="pb-badge pb-badge--info" title="Test device: {}">Test device</span>'
_WHOM = "<bdi>{}</bdi> · <bdi>{}</bdi>"
_TEST_SEND = SafeString(' <span class="pb-badge">Test</span>')
_LONGEST_TEXT = 255


@require_safe
def live_page(request: HttpRequest) -> HttpResponse:
    """Show the newest events and postbacks; the page's script asks for what follows."""
    membership = _reader(request)
    filters = LiveFilter(request.GET)
    zone = ZoneInfo(membership.organization.time_zone)
    stream = rings.stream_of(membership.organization_id, waits=True)
    rows = stream.newer(filters.search, than=0, most=MOST_SHOWN) if filters.is_valid() else ()
    context = {
        **admin.site.each_context(request),
        "title": "Live",
        "is_fullwidth": "1",
        "filters": filters,
        "panel": live_panel(filters.active_values, after=stream.seen_until),
        "rows": rows_html(rows, zone),
        "zone": zone.key,
        "next_step": _next_step(request) if not rows else "",
    }
    return TemplateResponse(request, "admin/live/page.html", context)


@own_transactions
@require_safe
def live_rows(request: HttpRequest) -> HttpResponse:
    """Return what is newer than the moment that a page names, at once."""
    membership = _reader(request)
    stream = rings.stream_of(membership.organization_id)
    search, zone = _search(request.GET), ZoneInfo(membership.organization.time_zone)
    # A page that has slept for long gets the newest; a moment ahead of ours would get nothing.
    after = min(_moment(request.GET.get("after", "")), stream.seen_until)
    answer = HttpResponse(
        stream.answer(search, after=after, make=lambda after: _news(stream, search, after, zone)),
        content_type="application/json",
    )
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _news(stream: Stream, search: LiveSearch, after: float, zone: ZoneInfo) -> bytes:
    rows = stream.newer(search, than=after, most=MOST_SHOWN)
    news = {
        "after": stream.seen_until,
        "count": len(rows),
        "more": len(rows) == MOST_SHOWN or stream.cut_at > after,
        "rows": rows_html(rows, zone),
    }
    return json.dumps(news).encode()


def panel_of_key(key: SdkKey) -> dict[str, object]:
    """Return the context with which the page of a new SDK key shows its app's events arrive."""
    panel = live_panel({"app": key.app_id, "kind": LiveKind.EVENT.value}, after=time.time())
    return {"panel": panel, "app": key.app}


def live_panel(filters: Mapping[str, object], *, after: float) -> dict[str, str]:
    """Return what a page needs to ask for rows: the address with filters, and since when."""
    address = f"{reverse('admin:live_rows')}?{urlencode(filters)}"
    return {"address": address, "after": repr(after)}


def rows_html(rows: Iterable[SeenRow], zone: ZoneInfo) -> SafeString:
    """Return table rows, newest first. Each is made once for all pages that show it."""
    parts = []
    for row in rows:
        if not row.html:
            row.html = _row_html(row, zone)
        parts.append((SafeString(row.html),))
    return format_html_join("", "{}", parts)


def _reader(request: HttpRequest) -> Membership:
    membership = membership_of(request)
    if membership is None or not allowed(request, Right.READ):
        raise PermissionDenied
    return membership


def _moment(text: str) -> float:
    try:
        moment = float(text[:32])
    except ValueError:
        return 0.0
    return moment if 0 <= moment < 1e11 else 0.0


def _search(parameters: Mapping[str, str]) -> LiveSearch:
    """Return the search of an address as the live page writes it.

    Rows are not looked up: the ring has none of other organizations.
    """
    keys = {name: _key(parameters.get(name, "")) for name in ("app", "rule", "partner")}
    return LiveSearch(
        app_id=keys["app"],
        event_name=parameters.get("event", "").strip(),
        rule_id=keys["rule"],
        partner_id=keys["partner"],
        device=identifiers_of_text(parameters.get("device", "").strip()[:_LONGEST_TEXT]),
        kind=parameters.get("kind", ""),
    )


def _key(text: str) -> int | None:
    return int(text) if is_id(text) else None


def _row_html(seen: SeenRow, zone: ZoneInfo) -> SafeString:
    """Return a row; with one call that escapes, for a busy stream has hundreds of rows a second."""
    row = seen.row
    local = row.at.astimezone(zone)
    device = wording.device(row.device)
    what = _postback_view(row) if isinstance(row, LivePostback) else _event_view(row)
    return format_html(
        '<tr class="lv-row lv-row--{}" data-key="{}"><td class="pl-time">'
        '<time datetime="{}" title="{}">{}<span class="lv-ms">.{}</span></time></td>'
        '<td><span class="pb-badge pb-badge--{}">{}</span>{}</td>'
        '<td class="pl-name"><a class="pb-link" href="{}">{}</a>{}'
        '<span class="pl-narrow">{}</span><span class="pl-narrow">{}</span></td>'
        '<td class="pl-wide pl-name">{}<span class="pl-note">{}</span></td>'
        '<td class="pl-wide pl-name">{}</td><td class="pl-wide lv-cut" title="{}">{}</td></tr>',
        row.kind,
        row.key,
        local.isoformat(timespec="milliseconds"),
        wording.format_moment(local, to_seconds=True),
        f"{local:%H:%M:%S}",
        f"{local.microsecond // 1000:03}",  # an escaped number is a text, and padded at its end
        what.tone,
        what.badge,
        _TEST_SEND if what.is_test else "",
        what.address,
        row.event_name or "Postback",
        format_html(_TEST_DEVICE, seen.test_device) if seen.test_device else "",
        what.text,
        what.note,
        what.text,
        what.note,
        row.app or NONE,
        device,
        device or NONE,
    )


@dataclass(frozen=True, slots=True)
class RowView:
    """What differs between the rows of events and of postbacks."""

    badge: str
    tone: Tone
    address: str
    text: str
    note: str = ""
    is_test: bool = False


def _event_view(event: LiveEvent) -> RowView:
    amount = "" if event.revenue is None else wording.amount(event.revenue, event.currency)
    return RowView("Event", Tone.STILL, _address("event", event.id), amount)


def _postback_view(postback: LivePostback) -> RowView:
    whom = (
        format_html(_WHOM, postback.rule, postback.partner) if postback.partner else postback.rule
    )
    if postback.outcome == PostbackStatus.SKIPPED:
        badge, tone, note = "Skipped", Tone.STILL, _SKIP_REASONS.get(postback.reason, "")
    elif postback.outcome == PostbackStatus.PENDING:
        badge, tone, note = "Waiting", Tone.BUSY, "sent later: its rule delays or holds it"
    else:
        badge, tone = OUTCOMES.get(postback.outcome, (postback.outcome, Tone.STILL))
        note = " · ".join(filter(None, _answer(postback)))
    address = _address("postback", postback.postback_id)
    return RowView(badge, tone, address, whom, note, postback.test)


def _answer(postback: LivePostback) -> tuple[str, ...]:
    code = postback.status_code
    return (
        wording.answer(postback.error, code) if postback.error else f"HTTP {code}",
        wording.seconds(postback.duration_ms / 1000),
        f"try {postback.number}" if postback.number > 1 else "",
    )


@cache
def _address_before_id(model: str) -> tuple[str, str]:
    before, _, after = reverse(f"admin:postbacks_{model}_change", args=[0]).partition("0")
    return before, after


def _address(model: str, id_: int) -> str:
    before, after = _address_before_id(model)
    return f"{before}{id_}{after}"


def _next_step(request: HttpRequest) -> str:
    """Return what an organization lacks before anything can happen, "" for nothing."""
    if not App.objects.filter(status=Lifecycle.ACTIVE).exists():
        return "app"
    return "" if SdkKey.objects.filter(revoked_at=None).exists() else "key"
