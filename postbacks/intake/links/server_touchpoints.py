"""② Touchpoints that are reported in batches, by an advertiser's or network's server or by an app.

Each names a tracking link or a campaign of the reporter's app; the good ones are recorded.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

from apps_registry.addresses import parse_address
from apps_registry.models.partners import ClickSigning
from postbacks.intake.events.body import read_items
from postbacks.intake.events.lenient_json import FlawedItem
from postbacks.intake.events.recording import DEVICE_FORGOTTEN
from postbacks.intake.links import recording, signatures
from postbacks.intake.links.known_links import KnownLink, find_campaigns, find_links
from postbacks.intake.links.reading import (
    MAX_NAME,
    MAX_PARAMETERS,
    MAX_VALUE,
    LinkParameters,
    read_parameters,
)
from postbacks.intake.links.recording import (
    TouchpointRefusedError,
    new_touchpoint,
    read_occurred_at,
)
from postbacks.intake.links.visitors import Visitor
from postbacks.intake.links.vocabulary import CANONICAL, hashed_kind, our_name
from postbacks.intake.receipts import (
    FieldError,
    FieldWarning,
    Receipt,
    Rejection,
    json_pointer,
)
from postbacks.intake.sdk_keys import Reporter
from postbacks.intake.touchpoints.recording import (
    NewTouchpoint,
    RecordedTouchpoint,
    commit_touchpoints,
    retried,
)
from postbacks.models import TouchpointKind, TouchpointSource
from postbacks.values import refusals
from postbacks.values.identifiers import ADVERTISING_IDS, VENDOR_IDS, why_odd
from postbacks.values.placeholders import why_no_id

KEPT = "Unknown field; it is kept as a parameter of the touchpoint: {{click.<name>}}."
NO_VALUE = "It was left out; send the value itself, or leave the field out where there is none."
_DEVICE_IDS = frozenset({*ADVERTISING_IDS, *VENDOR_IDS})
_EXAMPLE = "{“link”: “…”, “click_id”: “…”}"
_EXACT = frozenset({"link", "campaign", "touchpoint_id", *CANONICAL} - {"user_agent"})
OWN_FIELDS = ("touchpoint_id", "kind", "link", "campaign", "occurred_at", "params")


@dataclass(slots=True)
class CheckedTouchpoint:
    """A touchpoint ready to be recorded, or its errors."""

    errors: list[FieldError] = field(default_factory=list)
    warnings: list[FieldError] = field(default_factory=list)
    kind: str = TouchpointKind.CLICK
    link: str = ""
    campaign: str = ""
    once: str = ""
    occurred_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    parameters: LinkParameters = field(default_factory=lambda: read_parameters({}))


def record_server_touchpoints(body: bytes, *, encoding: str, reporter: Reporter) -> Receipt:
    """Record the touchpoints of a request's body durably.

    Raises BodyError when the whole request is refused, and Django's OperationalError when the
    database is away; in both cases nothing was stored.
    """
    items = read_items(body, encoding=encoding, noun="touchpoint", exact=_EXACT)
    return retried(lambda version: _record(items, reporter, version))


def _record(items: Sequence[object], reporter: Reporter, version: int | None) -> Receipt:
    checked = [check_touchpoint(item) for item in items]
    links = _resolve_links(checked, reporter)
    good = [
        _new_touchpoint(touchpoint, link, reporter, version)
        for touchpoint, link in zip(checked, links, strict=True)
        if link is not None and not touchpoint.errors
    ]
    results = iter(commit_touchpoints(good))
    recorded = [None if touchpoint.errors else next(results) for touchpoint in checked]
    for touchpoint, result in zip(checked, recorded, strict=True):
        if result is not None and result.blocked:
            touchpoint.errors.append(FieldError("", DEVICE_FORGOTTEN))
    return _receipt(items, checked, recorded)


def check_touchpoint(item: object) -> CheckedTouchpoint:
    """Check all of a touchpoint that needs no database."""
    checked = CheckedTouchpoint()
    if isinstance(item, FlawedItem):
        checked.errors, checked.warnings = list(item.errors), list(item.repaired)
        item = item.value
        if checked.errors:
            return checked
    if not isinstance(item, dict):
        detail = f"{refusals.quote(item)} is no touchpoint. Send an object such as {_EXAMPLE}."
        checked.errors.append(FieldError("", detail))
        return checked
    item = _with_kind(item)
    checked.parameters = _parameters(item, checked.errors)
    checked.warnings += [
        FieldError(json_pointer(name), KEPT)
        for name in item
        if name not in OWN_FIELDS and not (our_name(name) or hashed_kind(name))
    ]
    checked.warnings += [
        FieldError(_pointer(item, name), f"{why_no_id(text)} {NO_VALUE}")
        for name, text in checked.parameters.left_out.items()
    ]
    checked.warnings += [
        FieldError(_pointer(item, checked.parameters.sent_name(name)), odd)
        for name, text in checked.parameters.by_our_name.items()
        if name in _DEVICE_IDS and (odd := why_odd(name, text))
    ]
    checked.kind = _kind(item.get("kind"), checked.errors)
    checked.once = _own_id(item.get("touchpoint_id"), checked.errors)
    checked.link, checked.campaign = _link_and_campaign(item, checked.errors)
    checked.occurred_at = _occurred_at(item, checked.parameters, checked.errors)
    _check_address(item, checked.parameters, checked.errors)
    return checked


def _receipt(
    items: Sequence[object],
    checked: Sequence[CheckedTouchpoint],
    recorded: Sequence[RecordedTouchpoint | None],
) -> Receipt:
    accepted = [
        None if touchpoint.errors else result
        for touchpoint, result in zip(checked, recorded, strict=True)
    ]
    new = sum(result.is_new for result in accepted if result)
    return Receipt(
        accepted=new,
        duplicates=sum(result is not None for result in accepted) - new,
        rejected=tuple(
            Rejection(index, tuple(touchpoint.errors), items[index])
            for index, touchpoint in enumerate(checked)
            if touchpoint.errors
        ),
        ids=tuple(str(result.id) if result else None for result in accepted),
        warnings=tuple(
            FieldWarning(index, warning.pointer, warning.detail)
            for index, touchpoint in enumerate(checked)
            if not touchpoint.errors
            for warning in touchpoint.warnings
        ),
    )


def _with_kind(item: Mapping[str, object]) -> Mapping[str, object]:
    """Accept `type` in place of `kind`: the answers of `installs` say it so."""
    if "kind" in item or item.get("type") not in TouchpointKind.values:
        return item
    return {**{name: value for name, value in item.items() if name != "type"}, "kind": item["type"]}


def _parameters(item: Mapping[str, object], errors: list[FieldError]) -> LinkParameters:
    params = item.get("params")
    if params is None:
        params = {}
    if not isinstance(params, dict):
        detail = f"{refusals.quote(params)} is no object. Write one, such as {{“sub1”: “spring”}}."
        errors.append(FieldError("/params", detail))
        params = {}
    own = {name: value for name, value in item.items() if name not in OWN_FIELDS}
    parameters = [
        *((f"/params{json_pointer(name)}", name, value) for name, value in params.items()),
        *((json_pointer(name), name, value) for name, value in own.items()),
    ]
    if len(parameters) > MAX_PARAMETERS:
        detail = (
            f"The touchpoint has {len(parameters):,} fields and parameters. Send at most "
            f"{MAX_PARAMETERS}."
        )
        errors.append(FieldError("/params", detail))
    raw = {}
    for pointer, name, value in parameters[:MAX_PARAMETERS]:
        text = _text(value)
        if text is None:
            detail = f"{refusals.quote(value)} can't be a parameter. Write a text or a number."
            errors.append(FieldError(pointer, detail))
        elif error := _parameter_error(pointer, name, text):
            errors.append(error)
        elif text:
            raw[name] = text
    return read_parameters(raw)


def _pointer(item: Mapping[str, object], name: str) -> str:
    return json_pointer(name) if name in item else f"/params{json_pointer(name)}"


def _text(value: object) -> str | None:
    """Return a value as a link would write it; None if a link can't hold it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return f"{value:f}" if abs(value.adjusted()) < 100 else None
    return str(value) if isinstance(value, str | int) else None


def _parameter_error(pointer: str, name: str, text: str) -> FieldError | None:
    if "\x00" in text or "\x00" in name:
        return FieldError(pointer, "The text holds a NUL character; remove it.")
    if len(text) > MAX_VALUE:
        return FieldError(pointer, refusals.too_long(text, MAX_VALUE))
    if len(name) > MAX_NAME:
        detail = f"The name has {len(name):,} characters. Send a name of at most {MAX_NAME}."
        return FieldError(pointer, detail)
    return None


def _kind(value: object, errors: list[FieldError]) -> str:
    if value is None:
        return TouchpointKind.CLICK
    if value in TouchpointKind.values:
        return str(value)
    errors.append(FieldError("/kind", refusals.not_one_of(value, TouchpointKind.values)))
    return ""


def _own_id(value: object, errors: list[FieldError]) -> str:
    if value is None:
        return ""
    try:
        return str(UUID(str(value)))
    except ValueError:
        errors.append(FieldError("/touchpoint_id", refusals.not_uuid(value)))
        return ""


def _link_and_campaign(item: Mapping[str, object], errors: list[FieldError]) -> tuple[str, str]:
    link, campaign = item.get("link"), item.get("campaign")
    if link is None and campaign is None:
        errors.append(
            FieldError("/link", "Name a tracking link by token or ID, or a campaign by ID.")
        )
    elif link is not None and campaign is not None:
        errors.append(FieldError("/campaign", "Name a link or a campaign, not both."))
    for pointer, value in (("/link", link), ("/campaign", campaign)):
        if value is not None and (not isinstance(value, str) or not _is_name(value)):
            errors.append(FieldError(pointer, _unknown(value)))
    return (str(link or ""), str(campaign or ""))


def _unknown(name: object) -> str:
    return (
        f"The app of this SDK key has none with the ID {refusals.quote(name)}. Send the token or "
        "ID of one of its active tracking links, or the ID of an active campaign."
    )


def _is_name(text: str) -> bool:
    return 0 < len(text) <= MAX_NAME and text.isascii() and text.isprintable()


def _occurred_at(
    item: Mapping[str, object], parameters: LinkParameters, errors: list[FieldError]
) -> datetime:
    value = item.get("occurred_at")
    text = parameters.get("click_time") if value is None else _text(value)
    if text == "":
        return datetime.now(UTC)
    if text is None:
        errors.append(FieldError("/occurred_at", refusals.not_time(value)))
        return datetime.now(UTC)
    try:
        return read_occurred_at(text)
    except TouchpointRefusedError as error:
        pointer = "/occurred_at"
        if value is None:
            pointer = _pointer(item, parameters.sent_name("click_time"))
        errors.append(FieldError(pointer, str(error)))
        return datetime.now(UTC)


def _check_address(
    item: Mapping[str, object], parameters: LinkParameters, errors: list[FieldError]
) -> None:
    text = parameters.get("ip_address")
    if text and parse_address(text) is None:
        pointer = _pointer(item, parameters.sent_name("ip_address"))
        errors.append(FieldError(pointer, refusals.not_address(text)))


def _resolve_links(
    checked: Sequence[CheckedTouchpoint], reporter: Reporter
) -> list[KnownLink | None]:
    """Return the link or campaign of each touchpoint; add an error where the app has none."""
    app = (reporter.organization_id, reporter.app_id)
    good = [touchpoint for touchpoint in checked if not touchpoint.errors]
    links = find_links(*app, {touchpoint.link for touchpoint in good if touchpoint.link})
    campaigns = find_campaigns(
        *app, {touchpoint.campaign for touchpoint in good if touchpoint.campaign}
    )
    resolved: list[KnownLink | None] = []
    for touchpoint in checked:
        by_link = bool(touchpoint.link)
        link = links.get(touchpoint.link) if by_link else campaigns.get(touchpoint.campaign)
        if link is None and not touchpoint.errors:
            pointer = "/link" if by_link else "/campaign"
            name = touchpoint.link or touchpoint.campaign
            touchpoint.errors.append(FieldError(pointer, _unknown(name)))
        resolved.append(link)
    return resolved


def _new_touchpoint(
    touchpoint: CheckedTouchpoint, link: KnownLink, reporter: Reporter, version: int | None
) -> NewTouchpoint:
    parameters = touchpoint.parameters
    visitor = Visitor(
        address=parameters.get("ip_address") or reporter.ip_address,
        user_agent=parameters.get("user_agent") or reporter.user_agent or "",
        accept_language=parameters.get("language"),
    )
    return new_touchpoint(
        link,
        parameters,
        visitor,
        kind=touchpoint.kind,
        source=TouchpointSource.SERVER,
        occurred_at=touchpoint.occurred_at,
        once=touchpoint.once,
        signature=_signature(link, reporter),
        sender=_sender(reporter),
        version=version,
    )


def _sender(reporter: Reporter) -> str:
    """Return who reports: a server's key, or the address that uses the public key of an app."""
    key = f"key:{reporter.key_id}"
    return key if reporter.is_server else f"{key}:{recording.sender_of(reporter.ip_address)}"


def _signature(link: KnownLink, reporter: Reporter) -> str:
    """Return what the key proves: a server's key is secret, a key inside an app is public."""
    if link.click_signing == ClickSigning.OFF:
        return ""
    return signatures.VALID if reporter.is_server else signatures.MISSING
