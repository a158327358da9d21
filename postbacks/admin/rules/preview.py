"""Preview the request that a rule would send, for the sample or for an event that arrived."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import msgspec

from postbacks.admin.rules.request_parts import (
    RequestPart,
    form_parts,
    json_parts,
    query_parts,
    without_wrong_parameters,
)
from postbacks.callbacks.empty_macros import EmptyMacro
from postbacks.callbacks.lint import (
    RuleWarning,
    WarningCode,
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
from postbacks.rulebook.preview import (
    Preview,
    Unrendered,
    preview_definition,
    template_in_use,
    warnings_about,
)
from postbacks.rulebook.trial_events import platform_of, skip_details
from postbacks.values.rule_choices import WithoutConsent

SAMPLE = "sample"

_OPTED_OUT: Mapping[str, str] = {
    WithoutConsent.STRIP: "Empty for {who} who opted out.",
    WithoutConsent.SKIP: "Nothing is sent of {who} who opted out.",
    WithoutConsent.SEND: "Personal; sent of {who} who opted out, too.",
}


_EVENT_IS_GONE = "The chosen event is not there. This is the sample event."


@dataclass(frozen=True, slots=True)
class EventChoice:
    """An event for which the rule can be previewed; None is the sample."""

    value: str
    event: RecentEvent | None
    is_chosen: bool


@dataclass(frozen=True, slots=True)
class SentRequest:
    """The request in parts."""

    method: str
    address: str
    url: str
    parameters: tuple[RequestPart, ...]
    headers: tuple[tuple[str, str], ...]
    body: str | None
    body_parameters: tuple[RequestPart, ...]
    is_form: bool


@dataclass(frozen=True, slots=True)
class RulePreview:
    """The preview beside the form. Without `request` the problems say why there is none.

    `template` is the partner's template that the rule still follows, `absent` what it requires
    and the rule lacks. `parameters` are the event's own, as macros. `skips` says why the event
    would not be sent, and `skipped_for` names the macros whose lack of a value does that. `missing`
    names the macros without a value; `empty_macros` has the reason of each that `skips` does not
    give.
    """

    choices: tuple[EventChoice, ...]
    request: SentRequest | None = None
    missing: tuple[str, ...] = ()
    problems: tuple[RuleError, ...] = ()
    remarks: tuple[RuleWarning, ...] = ()
    template: RuleTemplate | None = None
    absent: tuple[TemplateParameter, ...] = ()
    notes: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()
    skips: tuple[str, ...] = ()
    skipped_for: frozenset[str] = frozenset()
    empty_macros: tuple[EmptyMacro, ...] = ()


def preview_rule(rule: CallbackRule, *, chosen: str = SAMPLE) -> RulePreview:
    """Return the request that a rule, saved or not, would send for the chosen event.

    Where the event belongs to another organization or app, the sample takes its place and a note
    says so.
    """
    event = event_by_id(chosen) if chosen != SAMPLE else None
    if event is not None and rule.app_id is not None and event.app_id != rule.app_id:
        event = None
    choices = _choices(rule.app_id, event)
    is_gone = event is None and chosen not in {"", SAMPLE}
    notes: tuple[str, ...] = (_EVENT_IS_GONE,) if is_gone else ()
    own = _own_parameters(event)
    try:
        definition = definition_from(rule)
    except msgspec.ValidationError:
        return RulePreview(choices, notes=notes, parameters=own)
    if not rule.url.strip():
        remarks = warnings_about(definition)
        return RulePreview(choices, notes=notes, parameters=own, remarks=remarks)
    rendering = preview_definition(definition, event=event)
    notes += tuple(r.message for r in rendering.remarks if r.code == WarningCode.EVENT)
    sendable = _sendable(definition, rendering, event)
    skipped_for = frozenset(skip.macro for skip in rendering.skips if skip.macro)
    template = template_in_use(definition)
    notes_on_parts = PartNotes(definition, platform_of(definition), template)
    return RulePreview(
        choices=choices,
        request=_request(definition, sendable, _wrong_positions(rendering), notes_on_parts)
        if sendable
        else None,
        missing=sendable.missing if sendable else (),
        problems=rendering.problems,
        remarks=rendering.remarks,
        template=template,
        absent=missing_rows(definition, template) if template else (),
        notes=notes,
        parameters=own,
        skips=skip_details(rendering.skips),
        skipped_for=skipped_for,
        empty_macros=tuple(
            empty
            for empty in (sendable.empty_macros if sendable else ())
            if empty.macro not in skipped_for
        ),
    )


@dataclass(frozen=True, slots=True)
class PartNotes:
    """Write the notes beside a request's parameters: meaning, platform, consent, credentials."""

    definition: RuleDefinition
    platform: str
    template: RuleTemplate | None

    def with_notes(self, parts: Iterable[RequestPart]) -> tuple[RequestPart, ...]:
        rows = {row.name: row for row in self.template.parameters} if self.template else {}
        return tuple(
            replace(part, note=" ".join(self._notes(part.written, rows.get(part.name))))
            for part in parts
        )

    def _notes(self, written: str, row: TemplateParameter | None) -> Iterator[str]:
        if row is not None:
            yield f"{row.meaning}{', required' if row.required else ''}."
        calls = [call for call in macros_in(written) if isinstance(call, MacroCall)]
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
    """Return the platforms on which any of the macros has a value; [] if that is everywhere."""
    limits = [CATALOGUE[name].platforms for name in names if name in CATALOGUE]
    if not limits or len(limits) < len(names) or not all(limits):
        return []
    return list(dict.fromkeys(platform for platforms in limits for platform in platforms))


def _sendable(
    definition: RuleDefinition, rendering: Preview, event: Event | None
) -> Preview | None:
    """Return the request, without its wrong parameters if it can be sent only so."""
    if not isinstance(rendering, Unrendered):
        return rendering
    if any(problem.field != "url" for problem in rendering.problems):
        return None
    url = without_wrong_parameters(definition.url, _wrong_positions(rendering))
    if url is None or url == definition.url:
        return None
    rest = preview_definition(msgspec.structs.replace(definition, url=url), event=event)
    return None if isinstance(rest, Unrendered) else rest


def _wrong_positions(rendering: Preview) -> tuple[int, ...]:
    if not isinstance(rendering, Unrendered):
        return ()
    return tuple(problem.position for problem in rendering.problems)


def _choices(app_id: int | None, chosen: Event | None) -> tuple[EventChoice, ...]:
    recent = recent_events(app_id=app_id)
    if chosen is not None and chosen.pk not in {event.id for event in recent}:
        recent = (*recent, recent_event(chosen))
    id_ = chosen.pk if chosen is not None else None
    sample = EventChoice(SAMPLE, None, is_chosen=chosen is None)
    return (sample, *(EventChoice(str(event.id), event, event.id == id_) for event in recent))


def _own_parameters(event: Event | None) -> tuple[str, ...]:
    if event is None or not isinstance(event.params, dict):
        return ()
    return tuple(f"params.{name}" for name in sorted(event.params))


def _request(
    definition: RuleDefinition,
    rendering: Preview,
    wrong: tuple[int, ...],
    notes: PartNotes,
) -> SentRequest:
    return SentRequest(
        method=rendering.method,
        address=rendering.url.partition("?")[0],
        url=rendering.url,
        parameters=notes.with_notes(query_parts(definition.url, rendering.url, wrong=wrong)),
        headers=tuple(rendering.headers.items()),
        body=_indented(rendering.body),
        is_form=definition.body_type == BodyType.FORM,
        body_parameters=notes.with_notes(_body_parts(definition, rendering.body or "")),
    )


def _body_parts(definition: RuleDefinition, sent: str) -> tuple[RequestPart, ...]:
    if definition.body_type == BodyType.FORM and sent:
        return form_parts(definition.body, sent)
    return json_parts(definition.body, sent) if definition.body_type == BodyType.JSON else ()


def _indented(body: str | None) -> str | None:
    """Indent JSON; numbers keep the digits that are sent."""
    if body is None or not body.lstrip().startswith(("{", "[")):
        return body
    try:
        return msgspec.json.format(body.encode(), indent=2).decode()
    except (msgspec.DecodeError, ValueError, RecursionError):
        return body
