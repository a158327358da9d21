"""The search at the top of every page, and everything of a device in order."""

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.views.decorators.http import require_safe

from apps_registry.admin_base.permissions import allowed
from apps_registry.roles import Right
from postbacks.admin.logs.base import row_address
from postbacks.insights.device_story import StoryEntry, story_of_device, story_of_install
from postbacks.insights.search import LONGEST, Matches, MatchKind, SearchMatch, search
from postbacks.insights.touchpoint_outcomes import outcomes_of
from postbacks.models import Event, Install, Touchpoint
from postbacks.rulebook.explain import explain_newest
from postbacks.rulebook.partner_answer import answer_partner

_OF_DEVICES = {MatchKind.INSTALL, MatchKind.EVENT, MatchKind.TOUCHPOINT, MatchKind.REFUSED_EVENT}


@require_safe
def search_page(request: HttpRequest) -> HttpResponse:
    """Lead to the one thing that carries an id, or list all that do."""
    if not allowed(request, Right.READ):
        raise PermissionDenied
    text = request.GET.get("q", "").strip()
    is_too_long = len(text) > LONGEST
    results = search("" if is_too_long else text)
    if results.only is not None:
        return HttpResponseRedirect(row_address(results.only.row))
    context = {
        **admin.site.each_context(request),
        **_answer_of(results),
        "title": "Search",
        "text": text[:LONGEST],
        "find_text": text[:LONGEST],
        "is_too_long": is_too_long,
        "longest": LONGEST,
        "groups": [(kind, [_view(match) for match in own]) for kind, own in results.groups],
        "unfinished": [kind.label for kind in results.unfinished],
        "has_device": any(match.kind in _OF_DEVICES for match in results.matches),
    }
    return TemplateResponse(request, "admin/search/results.html", context)


def _answer_of(results: Matches) -> dict[str, object]:
    """Return what a partner is answered that asks after this click, if there is one click."""
    rows = [match.row for match in results.matches if isinstance(match.row, Touchpoint)]
    if len(rows) != 1:
        return {}
    outcome = outcomes_of(rows)[rows[0].public_id]
    return {
        "touchpoint": rows[0],
        "outcome": outcome,
        "answer": answer_partner(rows[0], outcome),
    }


@require_safe
def device_page(request: HttpRequest) -> HttpResponse:
    """Show everything of a device, or of an install, in order."""
    if not allowed(request, Right.READ):
        raise PermissionDenied
    text = request.GET.get("id", "").strip()[:LONGEST].replace("\x00", "")
    install_key = request.GET.get("install", "")
    entries: list[StoryEntry] = []
    install = None
    if install_key.isascii() and install_key.isdigit() and len(install_key) < 19:
        install = Install.objects.filter(pk=int(install_key)).first()
    if install is not None:
        entries = story_of_install(install)
    elif text:
        entries = story_of_device(text)
    explained = explain_newest(entry.row for entry in entries if isinstance(entry.row, Event))
    context = {
        **admin.site.each_context(request),
        "title": "Everything of an install" if install else "Everything of a device",
        "find_text": text,
        "install": install,
        "entries": [
            (entry, row_address(entry.row), _WORDS[entry.kind], explained.get(entry.row.pk, ()))
            if entry.kind is MatchKind.EVENT
            else (entry, row_address(entry.row), _WORDS[entry.kind], ())
            for entry in entries
        ],
    }
    return TemplateResponse(request, "admin/search/device.html", context)


_WORDS = {
    MatchKind.EVENT: "Event",
    MatchKind.INSTALL: "",  # their titles begin with the word
    MatchKind.TOUCHPOINT: "",
    MatchKind.POSTBACK: "Postback",
    MatchKind.SKAN_POSTBACK: "Copy",
    MatchKind.TRACKING_LINK: "Link",
    MatchKind.REFUSED_EVENT: "",
}
_AS = {
    "id": "its own ID",
    "event_id": "event ID",
    "click_id": "the network's click ID",
    "advertising_id": "advertising ID",
    "install_id": "install ID",
    "customer_user_id": "your own user ID",
    "transaction_id": "transaction ID",
    "token": "its token",
    "sha1": "a SHA-1 of it",
    "md5": "an MD5 of it",
    "sha256": "a SHA-256 of it",
}


def _view(match: SearchMatch) -> tuple[SearchMatch, str, str]:
    """Return a match with its address and as what it carries the id."""
    return match, row_address(match.row), _AS.get(match.matched, match.matched)
