"""② Reads touchpoints that a server or an app reports, and records the good ones."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

from apps_registry.models.partners import ClickSigning
from apps_registry.tenancy import tenant
from postbacks.intake.events.body import read_events
from postbacks.intake.events.faults import FieldError
from postbacks.intake.events.forgotten import REFUSED
from postbacks.intake.events.recording import Receipt, Rejection, Warned
from postbacks.intake.events.validation import Reporter
from postbacks.intake.links import signatures
from postbacks.intake.links.known_links import KnownLink, named_campaigns, named_links
from postbacks.intake.links.reading import (
    LONGEST_NAME,
    LONGEST_VALUE,
    MOST_PARAMETERS,
    LinkParameters,
    read_parameters,
)
from postbacks.intake.links.recording import (
    TouchpointRefusedError,
    Visitor,
    checked_moment,
    new_touchpoint,
)
from postbacks.intake.links.vocabulary import hashed_kind, our_name
from postbacks.intake.touchpoints.recording import NewTouchpoint, record_touchpoints
from postbacks.models import TouchpointKind, TouchpointSource

KEPT = "Unknown field; it is kept as a parameter of the touchpoint: {{click.<name>}}."
OWN_FIELDS = ("touchpoint_id", "kind", "link", "campaign", "occurred_at", "params")


@dataclass(slots=True)
class CheckedTouchpoint:
    """A touchpoint that is ready to be recorded, or what is wrong with it."""

    faults: list[FieldError] = field(default_factory=list)
    warnings: list[FieldError] = field(default_factory=list)
    kind: str = TouchpointKind.CLICK
    link: str = ""
    campaign: str = ""
    once: str = ""
    occurred_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    parameters: LinkParameters = field(default_factory=lambda: read_parameters({}))


def record_reported(body: bytes, *, encoding: str, reporter: Reporter) -> Receipt:
    """Record the touchpoints of a request's body durably.

    Raises BodyError when nothing of it can be taken, and Django's OperationalError when the
    database is away, in which case nothing was stored.
    """
    items = read_events(body, encoding=encoding, of="touchpoint")
    checked = [check_touchpoint(item) for item in items]
    with tenant(reporter.organization_id):
        found = _find(checked, reporter)
        good = [
            _new(it, found[index], reporter) for index, it in enumerate(checked) if not it.faults
        ]
        recorded = iter(record_touchpoints(good))
    became = [None if it.faults else next(recorded) for it in checked]
    for it, one in zip(checked, became, strict=True):
        if one is not None and one.forgotten:
            it.faults.append(FieldError("", REFUSED))
    taken = [one for it, one in zip(checked, became, strict=True) if one and not it.faults]
    accepted = sum(one.is_new for one in taken)
    return Receipt(
        accepted=accepted,
        duplicates=len(taken) - accepted,
        rejected=tuple(
            Rejection(index, tuple(it.faults)) for index, it in enumerate(checked) if it.faults
        ),
        ids=tuple(
            str(one.id) if one and not it.faults else None
            for it, one in zip(checked, became, strict=True)
        ),
        warnings=tuple(
            Warned(index, warning)
            for index, it in enumerate(checked)
            if not it.faults
            for warning in it.warnings
        ),
    )


def check_touchpoint(item: object) -> CheckedTouchpoint:
    """Check what can be checked of a touchpoint without the database."""
    it = CheckedTouchpoint()
    if not isinstance(item, dict):
        it.faults.append(FieldError("", "A touchpoint must be a JSON object."))
        return it
    item = _with_kind(item)
    it.parameters = _parameters(item, it.faults)
    it.warnings = [
        FieldError(f"/{_escaped(name)}", KEPT)
        for name in item
        if name not in OWN_FIELDS and not (our_name(name) or hashed_kind(name))
    ]
    it.kind = _kind(item.get("kind"), it.faults)
    it.once = _own_id(item.get("touchpoint_id"), it.faults)
    it.link, it.campaign = _whose(item, it.faults)
    it.occurred_at = _moment(item, it.parameters, it.faults)
    _check_address(it.parameters, it.faults)
    return it


def _with_kind(item: Mapping[str, object]) -> Mapping[str, object]:
    """Take `type` for the kind where it says one, as in the answers of `installs`."""
    if "kind" in item or item.get("type") not in TouchpointKind.values:
        return item
    return {**{name: value for name, value in item.items() if name != "type"}, "kind": item["type"]}


def _parameters(item: Mapping[str, object], faults: list[FieldError]) -> LinkParameters:
    params = item.get("params")
    if params is None:
        params = {}
    if not isinstance(params, dict):
        faults.append(FieldError("/params", "The parameters must be a JSON object."))
        params = {}
    own = {name: value for name, value in item.items() if name not in OWN_FIELDS}
    given = [
        *((f"/params/{_escaped(name)}", name, value) for name, value in params.items()),
        *((f"/{_escaped(name)}", name, value) for name, value in own.items()),
    ]
    if len(given) > MOST_PARAMETERS:
        faults.append(
            FieldError("/params", f"Send at most {MOST_PARAMETERS} fields and parameters.")
        )
    raw = {}
    for pointer, name, value in given[:MOST_PARAMETERS]:
        text = _text(value)
        if fault := _fault(pointer, name, text):
            faults.append(fault)
        elif text:
            raw[name] = text
    return read_parameters(raw)


def _text(value: object) -> str | None:
    """Return a value as a link would hold it; None for what a link can't hold."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return f"{value:f}" if abs(value.adjusted()) < 100 else None
    return str(value) if isinstance(value, str | int) else None


def _fault(pointer: str, name: str, text: str | None) -> FieldError | None:
    if text is None:
        return FieldError(pointer, "The value must be a text, a number, true or false.")
    if "\x00" in text or "\x00" in name:
        return FieldError(pointer, "The text holds a NUL character; remove it.")
    if len(text) > LONGEST_VALUE:
        return FieldError(pointer, f"The text is longer than {LONGEST_VALUE} characters.")
    if len(name) > LONGEST_NAME:
        return FieldError(pointer, f"The name is longer than {LONGEST_NAME} characters.")
    return None


def _kind(value: object, faults: list[FieldError]) -> str:
    if value is None:
        return TouchpointKind.CLICK
    if value in TouchpointKind.values:
        return str(value)
    faults.append(FieldError("/kind", "The kind must be “click” or “impression”."))
    return ""


def _own_id(value: object, faults: list[FieldError]) -> str:
    if value is None:
        return ""
    try:
        return str(UUID(str(value)))
    except ValueError:
        faults.append(
            FieldError(
                "/touchpoint_id",
                "The id must be a UUID such as 0d6e1b3c-5f0a-4f6e-9d3e-2b6f4a1c7e55, "
                "made once by the client.",
            )
        )
        return ""


def _whose(item: Mapping[str, object], faults: list[FieldError]) -> tuple[str, str]:
    link, campaign = item.get("link"), item.get("campaign")
    if link is None and campaign is None:
        faults.append(
            FieldError("/link", "Name a tracking link by token or id, or a campaign by id.")
        )
    elif link is not None and campaign is not None:
        faults.append(FieldError("/campaign", "Name a link or a campaign, not both."))
    for pointer, value in (("/link", link), ("/campaign", campaign)):
        if value is not None and (not isinstance(value, str) or not _is_name(value)):
            faults.append(FieldError(pointer, "The app of this SDK key has none with this id."))
    return (str(link or ""), str(campaign or ""))


def _is_name(text: str) -> bool:
    return 0 < len(text) <= LONGEST_NAME and text.isascii() and text.isprintable()


def _moment(
    item: Mapping[str, object], parameters: LinkParameters, faults: list[FieldError]
) -> datetime:
    told = item.get("occurred_at")
    text = parameters.get("click_time") if told is None else _text(told)
    if text == "":
        return datetime.now(UTC)
    try:
        return checked_moment(text or "?")
    except TouchpointRefusedError as error:
        faults.append(FieldError("/occurred_at", str(error)))
        return datetime.now(UTC)


def _check_address(parameters: LinkParameters, faults: list[FieldError]) -> None:
    text = parameters.get("ip_address")
    try:
        ipaddress.ip_address(text or "::")
    except ValueError:
        faults.append(
            FieldError("/ip_address", "The address must be IPv4 or IPv6, such as 203.0.113.7.")
        )


def _find(checked: list[CheckedTouchpoint], reporter: Reporter) -> list[KnownLink | None]:
    """Return what each touchpoint is of, and note where it is nothing of the reporter's app."""
    owner = (reporter.organization_id, reporter.app_id)
    good = [it for it in checked if not it.faults]
    links = named_links(*owner, {it.link for it in good if it.link})
    campaigns = named_campaigns(*owner, {it.campaign for it in good if it.campaign})
    found = [links.get(it.link) if it.link else campaigns.get(it.campaign) for it in checked]
    for it, known in zip(checked, found, strict=True):
        if known is None and not it.faults:
            pointer = "/link" if it.link else "/campaign"
            it.faults.append(FieldError(pointer, "The app of this SDK key has none with this id."))
    return found


def _new(it: CheckedTouchpoint, link: KnownLink | None, reporter: Reporter) -> NewTouchpoint:
    assert link is not None  # what is of nothing has a fault  # noqa: S101
    visitor = Visitor(
        address=it.parameters.get("ip_address") or reporter.ip_address,
        user_agent=it.parameters.get("user_agent") or reporter.user_agent or "",
        accept_language=it.parameters.get("language"),
    )
    return new_touchpoint(
        link, it.kind, it.parameters, visitor, TouchpointSource.SERVER,
        occurred_at=it.occurred_at, once=it.once, signature=_signature(link, reporter),
    )  # fmt: skip


def _signature(link: KnownLink, reporter: Reporter) -> str:
    """Say who reports: a server's key is a proof, a key inside an app is public."""
    if link.click_signing == ClickSigning.OFF:
        return ""
    return signatures.VALID if reporter.is_server else signatures.MISSING


def _escaped(name: str) -> str:
    """Return a name as a JSON pointer writes it (RFC 6901)."""
    return name.replace("~", "~0").replace("/", "~1")
