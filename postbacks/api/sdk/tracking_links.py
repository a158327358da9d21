"""① Tracking links: `/c/{token}` records a click and redirects, `/i/{token}` an impression."""

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

import msgspec
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from apps_registry.addresses import first_address
from apps_registry.client_address import client_address
from postbacks.api.throttling import TooFast, throttle_links, throttle_unknown_keys
from postbacks.intake.events.recording import DEVICE_FORGOTTEN
from postbacks.intake.html_entities import READ_AS_MEANT
from postbacks.intake.links import known_links, recording, signatures
from postbacks.intake.links.destinations import choose_destination, destinations_of
from postbacks.intake.links.known_links import KnownLink
from postbacks.intake.links.reading import LinkParameters, read_query
from postbacks.intake.links.recording import TouchpointRefusedError
from postbacks.intake.links.visitors import Visitor, is_bot, is_preview, read_device
from postbacks.intake.touchpoints.recording import RecordedTouchpoint, retried
from postbacks.models import TouchpointKind
from postbacks.values import refusals
from postbacks.values.placeholders import why_no_id
from postbacks.web.middleware import own_transactions
from postbacks.web.problem_documents import problem

_HEADERS = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
_PIXEL = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
_SAFE_IN_LOCATION = "!#$%&'()*+,/:;=?@[]~"  # as it was written; everything else is encoded


@dataclass(frozen=True, slots=True)
class LinkVisit:
    """A person's call of a link; `click_id` is our id of it, empty if none was recorded."""

    link: KnownLink
    parameters: LinkParameters
    visitor: Visitor
    click_id: str = ""


@dataclass(slots=True)
class LinkCall:
    """One call of a link: what it records, what it answers a person, and whether it is too much.

    It is counted once, though it is answered again when the configuration changes meanwhile.
    """

    kind: str
    answer_visitor: Callable[[LinkVisit], HttpResponse]
    flood: str | None = None  # the reason why it is one too many; None until it is counted


@dataclass(frozen=True, slots=True)
class ServerReport:
    """What a network's server reports by a link, and the address from which it does."""

    link: KnownLink
    call: LinkCall
    parameters: LinkParameters
    signature: str
    address: str | None
    version: int | None  # of the configuration by which link and signature are known

    @property
    def is_signed(self) -> bool:
        return self.signature == signatures.VALID


@csrf_exempt
@own_transactions
def click(request: HttpRequest, token: str) -> HttpResponse:
    """Record a click and redirect to the store; answer a network's server with our id of it."""
    return _answer(request, token, LinkCall(TouchpointKind.CLICK, _redirect))


@csrf_exempt
@own_transactions
def impression(request: HttpRequest, token: str) -> HttpResponse:
    """Record an impression and answer a pixel; answer a network's server with our id of it."""
    return _answer(request, token, LinkCall(TouchpointKind.IMPRESSION, _pixel))


def _answer(request: HttpRequest, token: str, call: LinkCall) -> HttpResponse:
    if request.method not in {"GET", "HEAD"}:
        return problem(405, "A tracking link is opened with GET.", headers={"Allow": "GET, HEAD"})
    address = client_address(request)
    try:
        organization_id, link_id = known_links.find_owner(token)
    except known_links.UnknownTokenError:
        return _unknown(address)
    ids = (organization_id, link_id)
    return retried(lambda version: _answer_for(request, ids, call, version))


def _answer_for(
    request: HttpRequest, ids: tuple[int, int], call: LinkCall, version: int | None
) -> HttpResponse:
    address = client_address(request)
    query = _query(request)
    parameters = read_query(query)
    link = known_links.find_link(*ids)
    if link is None:
        return _not_in_use()
    if is_preview(request.method or "", request.META):
        return call.answer_visitor(LinkVisit(link, parameters, _visitor(request, address)))
    signature = known_links.check_click_signature(link, request.path, query)
    if parameters.from_server:
        return _answer_server(ServerReport(link, call, parameters, signature, address, version))
    visitor = _visitor(request, address)
    if is_bot(visitor.user_agent):
        return call.answer_visitor(LinkVisit(link, parameters, visitor))
    refused = ""
    if signature != signatures.VALID:
        if call.flood is None:
            call.flood = recording.flood_of_visitor(
                link, parameters, kind=call.kind, address=address
            )
        refused = call.flood
    recorded = recording.record_visitor_touchpoint(
        link,
        parameters,
        visitor,
        kind=call.kind,
        signature=signature,
        refused=refused,
        version=version,
    )
    click_id = "" if recorded.blocked else str(recorded.id)
    return call.answer_visitor(LinkVisit(link, parameters, visitor, click_id))


def _redirect(visit: LinkVisit) -> HttpResponse:
    device = read_device(visit.visitor.user_agent)
    destinations = destinations_of(visit.link)
    url = choose_destination(destinations, device, visit.parameters.all, click=visit.click_id)
    if url is None:
        return _page(404, "This link leads nowhere yet: its app has no store page.")
    location = quote(url, safe=_SAFE_IN_LOCATION)
    # Without a body; as a page it would be given the policy of pages, which takes its time.
    headers = {**_HEADERS, "Location": location}
    return HttpResponse(status=302, content_type="text/plain; charset=utf-8", headers=headers)


def _pixel(_visit: LinkVisit) -> HttpResponse:
    return HttpResponse(_PIXEL, content_type="image/gif", headers=_HEADERS)


def _answer_server(report: ServerReport) -> HttpResponse:
    link, kind, parameters = report.link, report.call.kind, report.parameters
    sender = recording.sender_of(report.address)
    refused = ""
    if not report.is_signed:
        if report.call.flood is None:
            try:
                throttle_links(recording.limit_server(link, report.address))
            except TooFast as error:
                headers = {**_HEADERS, "Retry-After": str(error.wait)}
                return problem(429, str(error.detail), headers=headers)
            report.call.flood = recording.flood_of_server(
                link, parameters, kind=kind, sender=sender
            )
        refused = report.call.flood
    try:
        recorded = recording.record_server_touchpoint(
            link,
            parameters,
            kind=kind,
            sender=sender,
            signature=report.signature,
            refused=refused,
            version=report.version,
        )
    except TouchpointRefusedError as error:
        return problem(400, str(error), headers=_HEADERS)
    if recorded.blocked:
        return problem(400, DEVICE_FORGOTTEN, headers=_HEADERS)
    warnings = [READ_AS_MEANT] if parameters.is_from_html else []
    warnings += [
        f"{name}: {why_no_id(text)} It was left out." for name, text in parameters.left_out.items()
    ]
    address = parameters.get("ip_address")
    if address and not first_address(address):
        name = parameters.sent_name("ip_address")
        warnings.append(f"{name}: {refusals.not_address(address)} It was left out.")
    return _json(kind, recorded, report.signature, warnings)


def _json(
    kind: str, recorded: RecordedTouchpoint, signature: str, warnings: Sequence[str]
) -> HttpResponse:
    content = {
        "touchpoint_id": str(recorded.id),
        f"{kind}_id": str(recorded.id),
        "duplicate": not recorded.is_new,
        **({"signature": signature} if signature else {}),
        **({"warnings": warnings} if warnings else {}),
    }
    return HttpResponse(
        msgspec.json.encode(content), content_type="application/json", headers=_HEADERS
    )


def _query(request: HttpRequest) -> str:
    """Return the query: WSGI decodes it as Latin-1, but browsers write UTF-8."""
    text: str = request.META.get("QUERY_STRING", "")
    return text.encode("latin-1", "replace").decode("utf-8", "replace")


def _visitor(request: HttpRequest, address: str | None) -> Visitor:
    meta: Mapping[str, str] = request.META
    return Visitor(address, meta.get("HTTP_USER_AGENT", ""), meta.get("HTTP_ACCEPT_LANGUAGE", ""))


def _unknown(address: str | None) -> HttpResponse:
    """Answer for an unknown token; an address that tries many is rate-limited."""
    try:
        throttle_unknown_keys(address)
    except TooFast as error:
        return problem(429, str(error.detail), headers={"Retry-After": str(error.wait)})
    return _not_in_use()


def _not_in_use() -> HttpResponse:
    return _page(404, "This link is not in use.")


def _page(code: int, text: str) -> HttpResponse:
    return HttpResponse(
        text, status=code, content_type="text/plain; charset=utf-8", headers=_HEADERS
    )
