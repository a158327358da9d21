"""What a rule would send, as people read it: for a sample or for an event that was received."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import msgspec

from postbacks.admin.rules.request_parts import (
    RequestPart,
    form_parts,
    json_parts,
    query_parts,
    without_wrong_parameters,
)
from postbacks.callbacks.lint import (
    RuleWarning,
    is_personal,
    missing_rows,
    names_in,
    platform_names,
)
from postbacks.callbacks.macros import CATALOGUE, BodyType, RuleError
from postbacks.callbacks.macros.parser import MacroCall, macros_in
from postbacks.callbacks.partner_templates import RuleTemplate, TemplateParameter
from postbacks.callbacks.rules.definition import RuleDefinition
from postbacks.callbacks.rules.versions import definition_from
from postbacks.insights.recent_events import RecentEvent, event_by_id, recent_event, recent_events
from postbacks.models import CallbackRule, Event
from postbacks.rulebook import saving
from postbacks.rulebook.saving import platform_of, remarks_on, template_in_use
from postbacks.values.rule_choices import WithoutConsent

# FOLDED from rule_notes.py

_OPTED_OUT = {
    WithoutConsent.STRIP: "Empty for {who} who opted out.",
    WithoutConsent.SKIP: "Nothing is sent of {who} who opted out.",
    WithoutConsent.SEND: "Personal; sent of {who} who opted out, too.",
}


@dataclass(frozen=True, slots=True)
class Noting:
    """What notes are taken from."""

    definition: RuleDefinition
    platform: str
    template: RuleTemplate | None

    def noted(self, parts: Iterable[RequestPart]) -> tuple[RequestPart, ...]:
        """Return parameters with a note to each that there is something to say about."""
        rows = {row.name: row for row in self.template.parameters} if self.template else {}
        return tuple(
            replace(part, note=" ".join(self._notes(part.written, rows.get(part.name))))
            for part in parts
        )

    def _notes(self, written: str, row: TemplateParameter | None) -> Iterator[str]:
        if row is not None:
            yield f"{row.meaning}{', required' if row.required else ''}."
        calls = [it for it in macros_in(written) if isinstance(it, MacroCall)]
        names = [name for call in calls for name in names_in(call)]
        platforms = _platforms_of(names)
        if platforms and not self.platform:
            yield f"Only on {platform_names(platforms)}."
        if any(map(is_personal, names)):
            where = platform_names([self.platform] if self.platform else platforms)
            who = f"people on {where}" if where else "people"
            yield _OPTED_OUT[self.definition.without_consent].format(who=who)
        if any(name.startswith("credential.") for name in names):
            yield "A credential of the partner, masked here."


def _platforms_of(names: Sequence[str]) -> list[str]:
    known = [CATALOGUE[name].platforms for name in names if name in CATALOGUE]
    if not known or len(known) < len(names) or not all(known):
        return []
    return list(dict.fromkeys(platform for platforms in known for platform in platforms))


SAMPLE = "sample"
_INSTALL_EVENTS = {"install", "open"}  # a first open is an install


@dataclass(frozen=True, slots=True)
class Choice:
    """One event to look at the rule with."""

    value: str
    event: RecentEvent | None
    is_chosen: bool


@dataclass(frozen=True, slots=True)
class SentRequest:
    """The request, taken apart."""

    method: str
    address: str
    url: str
    parameters: tuple[RequestPart, ...]
    headers: tuple[tuple[str, str], ...]
    body: str | None
    body_parameters: tuple[RequestPart, ...]
    is_form: bool


@dataclass(frozen=True, slots=True)
class ShownPreview:
    """What stands beside the form. Without `request` the problems say why there is none."""

    choices: tuple[Choice, ...]
    request: SentRequest | None = None
    missing: tuple[str, ...] = ()
    problems: tuple[RuleError, ...] = ()
    remarks: tuple[RuleWarning, ...] = ()
    template: RuleTemplate | None = None  # of the partner's, that the rule still is
    absent: tuple[TemplateParameter, ...] = ()  # what the template requires and the rule lacks
    notes: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()  # of the event's own, as macros


def preview_of(rule: CallbackRule, *, chosen: str = SAMPLE) -> ShownPreview:
    """Return what a rule, saved or not, would send for the chosen event.

    An event that is not the organization's, or not the rule's app's, is not there: the sample is
    shown instead, and a note says so.
    """
    event = event_by_id(chosen) if chosen != SAMPLE else None
    if event is not None and rule.app_id is not None and event.app_id != rule.app_id:
        event = None
    choices = _choices(rule.app_id, event)
    notes = _notes(rule, event, is_gone=event is None and chosen not in {"", SAMPLE})
    own = _own_parameters(event)
    try:
        definition = definition_from(rule)
    except msgspec.ValidationError:
        return ShownPreview(choices, notes=notes, parameters=own)
    if not rule.url.strip():
        remarks = remarks_on(definition)
        return ShownPreview(choices, notes=notes, parameters=own, remarks=remarks)
    seen = saving.preview(definition, event=event)
    filled = _filled_in(definition, seen, event)
    template = template_in_use(definition)
    noting = Noting(definition, platform_of(definition), template)
    return ShownPreview(
        choices=choices,
        request=_request(definition, filled, _places(seen), noting) if filled else None,
        missing=filled.missing if filled else (),
        problems=seen.problems,
        remarks=seen.remarks,
        template=template,
        absent=missing_rows(definition, template) if template else (),
        notes=notes,
        parameters=own,
    )


def _filled_in(
    definition: RuleDefinition, seen: saving.Preview, event: Event | None
) -> saving.Preview | None:
    """Return the request; without its wrong parameters if it can be sent only so."""
    if not isinstance(seen, saving.Unrendered):
        return seen
    if any(problem.field != "url" for problem in seen.problems):
        return None
    url = without_wrong_parameters(definition.url, _places(seen))
    if url is None or url == definition.url:
        return None
    rest = saving.preview(msgspec.structs.replace(definition, url=url), event=event)
    return None if isinstance(rest, saving.Unrendered) else rest


def _places(seen: saving.Preview) -> tuple[int, ...]:
    return tuple(it.position for it in seen.problems if isinstance(seen, saving.Unrendered))


def _choices(app_id: int | None, chosen: Event | None) -> tuple[Choice, ...]:
    recent = recent_events(app_id=app_id)
    if chosen is not None and chosen.pk not in {event.id for event in recent}:
        recent = (*recent, recent_event(chosen))
    id_ = chosen.pk if chosen is not None else None
    sample = Choice(SAMPLE, None, is_chosen=chosen is None)
    return (sample, *(Choice(str(event.id), event, event.id == id_) for event in recent))


def _notes(rule: CallbackRule, event: Event | None, *, is_gone: bool) -> tuple[str, ...]:
    if is_gone:
        return ("The chosen event is not there. This is the sample event.",)
    if event is None:
        return ()
    return tuple(_reasons_not_to_send(rule, event.event_name))


def _reasons_not_to_send(rule: CallbackRule, name: str) -> Iterable[str]:
    names = set(rule.triggers)
    is_install = "install" in names and name in _INSTALL_EVENTS
    if not (names & {"*", name} or is_install):
        yield f"This rule would not be asked: {name} is not among its events."
    if rule.event_map and name not in rule.event_map:
        yield f"This event would not be sent: the event map does not name {name}."


def _own_parameters(event: Event | None) -> tuple[str, ...]:
    if event is None or not isinstance(event.params, dict):
        return ()
    return tuple(f"params.{name}" for name in sorted(event.params))


def _request(
    definition: RuleDefinition, seen: saving.Preview, wrong: tuple[int, ...], noting: Noting
) -> SentRequest:
    return SentRequest(
        method=seen.method,
        address=seen.url.partition("?")[0],
        url=seen.url,
        parameters=noting.noted(query_parts(definition.url, seen.url, wrong=wrong)),
        headers=tuple(seen.headers.items()),
        body=_pretty(seen.body),
        is_form=definition.body_type == BodyType.FORM,
        body_parameters=noting.noted(_body_parts(definition, seen.body or "")),
    )


def _body_parts(definition: RuleDefinition, sent: str) -> tuple[RequestPart, ...]:
    if definition.body_type == BodyType.FORM and sent:
        return form_parts(definition.body, sent)
    return json_parts(definition.body, sent) if definition.body_type == BodyType.JSON else ()


def _pretty(body: str | None) -> str | None:
    if body is None or not body.lstrip().startswith(("{", "[")):
        return body
    try:
        return msgspec.json.format(body.encode(), indent=2).decode()
    except (msgspec.DecodeError, ValueError, RecursionError):
        return body
