"""Checks and saves rules, for the API and for people alike.

A rule concerns both rendering and delivery: its macros must compile, and its address must be
allowed. Neither stage knows the other, so their checks meet here.

A save that sends a rule elsewhere or at another pace moves nothing that the rule has in the queue,
for a queue may be long: it leaves `queue_version` behind, the version whose lane and pace the
queued postbacks have. A task moves them in batches and sets `queue_version` at the end, so a worker
that is killed leaves the rest to the next one. Whatever a pump claims before, or while, it moves
itself.
"""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import msgspec
from django.conf import settings
from django.db import connection
from django.db.models import Count, QuerySet, Sum

from apps_registry.models import Partner, User
from apps_registry.models.signing import ensure_signing_secret
from postbacks.callbacks.lint import amount_errors
from postbacks.callbacks.macros import RuleError, TemplateError
from postbacks.callbacks.macros.compiler import MOST_HEADERS
from postbacks.callbacks.rules import versions
from postbacks.callbacks.rules.compiled import (
    UNSAVED,
    CompiledRule,
    PartnerSecrets,
    load_rule_versions,
)
from postbacks.callbacks.rules.conditions import compile_conditions
from postbacks.callbacks.rules.definition import (
    MOST_MAPPED,
    MOST_TRIGGERS,
    VALUE_BYTES,
    RuleDefinition,
)
from postbacks.delivery.http.destinations import Destinations, problem_with_url
from postbacks.delivery.success import parse_success
from postbacks.infrastructure.database.jobs import take_turns
from postbacks.infrastructure.database.prepared import load_sql
from postbacks.models import CallbackRule, RuleStatus
from postbacks.models.rules import LARGEST_RULE, LARGEST_RULES, MOST_RULES, MOST_RULES_OF_APP
from postbacks.values.refusals import no_room
from postbacks.values.rule_choices import AttributionScope
from postbacks.values.visible_text import is_visible

_ARCHIVE = "Archive rules that are not needed, or join some: one rule may name many events."

BATCH = 1_000  # queued postbacks
_RULES_IN_ONE_WALK = 200

_MOVE_QUEUED = load_sql("postbacks.rulebook", "move_queued")
_RULES_TO_MOVE = """
SELECT id, version FROM callback_rule WHERE queue_version <> version ORDER BY id LIMIT %(limit)s
"""
_SET_QUEUE_VERSIONS = """
UPDATE callback_rule SET queue_version = moved.version
FROM unnest(%(rules)s::bigint[], %(versions)s::integer[]) AS moved (rule_id, version)
WHERE id = moved.rule_id
"""

RuleToMove = tuple[int, int]  # a rule's id and version


class RuleProblemsError(Exception):
    """A rule can't be saved; `problems` names every reason."""

    def __init__(self, problems: tuple[RuleError, ...]) -> None:
        super().__init__("; ".join(problem.message for problem in problems))
        self.problems = problems


def save(rule: CallbackRule, *, by: User | None, promised: Collection[str] = ()) -> None:
    """Check a rule, then save it and its version. Raises RuleProblemsError and saves nothing.

    `promised` credentials count as the partner's: an imported draft waits for them. Switching a
    rule off is never refused.
    """
    definition = versions.definition_from(rule)
    problems = (*check(definition, promised=promised), *lacks_room(rule, definition))
    if problems and not is_only_switched_off(rule):
        raise RuleProblemsError(problems)
    save_checked(rule, by=by)


def lacks_room(rule: CallbackRule, definition: RuleDefinition) -> list[RuleError]:
    """Return why the app or the organization has no room for a rule as it is now.

    A rule that takes no more room than it did is never refused: organizations may have more than
    is allowed by now. Where one takes more, others that do wait until this transaction ends.
    """
    before = CallbackRule.objects.filter(pk=rule.pk).first() if rule.pk else None
    is_new = before is None or before.status == RuleStatus.ARCHIVED
    size = definition.counted_bytes
    size_before = 0 if before is None or is_new else _size_of(before)
    is_moved = before is None or is_new or before.app_id not in {rule.app_id, None}
    if size <= size_before and not is_moved:
        return []
    take_turns("callback_rule")
    rules = CallbackRule.objects.exclude(status=RuleStatus.ARCHIVED).exclude(pk=rule.pk)
    room = rules.aggregate(count=Count("pk"), size=Sum("counted_bytes", default=0))
    problems = []
    if is_new and (sentence := no_room(room["count"], MOST_RULES, "rules", _ARCHIVE)):
        problems.append(RuleError("name", 0, sentence))
    elif is_moved:
        count = _most_of_an_app(rules, rule.app_id)
        what = "rules, with those for all apps"
        if sentence := no_room(count, MOST_RULES_OF_APP, what, _ARCHIVE, whose="An app"):
            problems.append(RuleError("app", 0, sentence))
    if size > max(LARGEST_RULE, size_before):
        problems.append(RuleError("conditions", 0, _too_large(size, "a rule has", LARGEST_RULE)))
    elif size > size_before and room["size"] + size > LARGEST_RULES:
        sentence = _too_large(
            room["size"] + size, "with all other rules; an organization's have", LARGEST_RULES
        )
        problems.append(RuleError("conditions", 0, sentence))
    return problems


def _most_of_an_app(rules: QuerySet[CallbackRule], app_id: int | None) -> int:
    """Return how many rules an app has with those for all apps; None: the app with the most."""
    counts = dict(rules.order_by().values_list("app").annotate(count=Count("pk")))
    for_all = counts.pop(None, 0)
    own = max(counts.values(), default=0) if app_id is None else counts.get(app_id, 0)
    return int(for_all + own)


def _size_of(rule: CallbackRule) -> int:
    try:
        return versions.definition_from(rule).counted_bytes
    except msgspec.ValidationError:
        return rule.counted_bytes


def _too_large(size: int, what: str, most: int) -> str:
    return (
        f"The rule takes {size:,} bytes {what} at most {most:,}, where each value of a list counts "
        f"{VALUE_BYTES} beside its letters. Write fewer or shorter values, or archive other rules."
    )


def is_only_switched_off(rule: CallbackRule) -> bool:
    """Tell whether a row says what its version says, and is not to send.

    It may hold what was allowed when the version was saved, and is not any more.
    """
    if rule.pk is None or rule.status == RuleStatus.ACTIVE:
        return False
    version = rule.versions.filter(number=rule.version).first()
    try:
        return version is not None and versions.definition_of(version) == versions.definition_from(
            rule
        )
    except msgspec.ValidationError:
        return False


def save_checked(rule: CallbackRule, *, by: User | None) -> None:
    """Save a rule that `check` has just passed, and its version."""
    if rule.sign:
        ensure_signing_secret()
    versions.save_rule(rule, by=by)


def check(definition: RuleDefinition, *, promised: Collection[str] = ()) -> tuple[RuleError, ...]:
    """Return every reason why a rule can't be saved.

    `promised` credentials count as the partner's: an imported draft waits for them.
    """
    return check_compiled(compiled(definition, promised))


def check_compiled(rule: CompiledRule) -> tuple[RuleError, ...]:
    """Return every reason why a rule from `compiled` can't be saved."""
    definition = rule.definition
    if too_much := size_problems(definition):
        return too_much
    problems = [
        *_template_problems(rule),
        *amount_errors(definition),
        *_condition_problems(rule),
    ]
    if not any(problem.field == "url" for problem in problems):
        sentence = _problem_with_destination(definition)
        problems += [RuleError("url", 0, sentence)] if sentence else []
    try:
        parse_success(definition.success)
    except ValueError as error:
        problems.append(RuleError("success", 0, str(error)))
    return (*problems, *_scope_problems(definition), *_trigger_problems(definition))


def size_problems(definition: RuleDefinition) -> tuple[RuleError, ...]:
    """Return which parts have more members than a rule may have: known before any work begins."""
    sizes = (
        ("triggers", "events", len(definition.triggers), MOST_TRIGGERS),
        ("event_map", "events", len(definition.event_map), MOST_MAPPED),
        ("headers", "headers", len(definition.headers), MOST_HEADERS),
    )
    return tuple(
        RuleError(name, 0, f"These are {count:,} {noun}; a rule has at most {most:,}.")
        for name, noun, count, most in sizes
        if count > most
    )


def compiled(definition: RuleDefinition, promised: Collection[str] = ()) -> CompiledRule:
    """Return a rule, saved or not, that compiles itself once, outside of the workers' cache."""
    return CompiledRule(
        organization_id=0,
        rule_id=UNSAVED,
        version=0,
        status=RuleStatus.DRAFT,
        definition=definition,
        partner=_partner(definition.partner_id, promised),
    )


def _partner(partner_id: int | None, promised: Collection[str]) -> PartnerSecrets | None:
    partner = Partner.objects.filter(pk=partner_id).first() if partner_id else None
    if partner is None:
        return None
    return PartnerSecrets(
        organization_id=partner.organization_id,
        id=partner.pk,
        public_id=str(partner.public_id),
        name=partner.name,
        status=partner.status,
        allowed_hosts=frozenset(partner.allowed_hosts),
        sealed={
            **dict.fromkeys(promised, ""),
            **dict(partner.credentials.values_list("name", "sealed")),
        },
    )


def _template_problems(rule: CompiledRule) -> tuple[RuleError, ...]:
    try:
        _ = rule.request
    except TemplateError as error:
        return error.problems
    return ()


def _condition_problems(rule: CompiledRule) -> tuple[RuleError, ...]:
    try:
        compile_conditions(rule.definition.conditions)
    except TemplateError as error:
        return error.problems
    return ()


def _problem_with_destination(definition: RuleDefinition) -> str | None:
    if definition.url.partition("://")[2].lstrip().startswith("{{"):
        return None  # the host is a credential, checked when it is rendered
    return problem_with_url(definition.url, Destinations(settings.ALLOW_PRIVATE_DESTINATIONS))


def _scope_problems(definition: RuleDefinition) -> list[RuleError]:
    scope = definition.attribution_scope
    if scope != AttributionScope.PARTNER or definition.partner_id is not None:
        return []
    sentence = (
        "Choose the partner, or send what any partner earned: without a partner nobody earns "
        "these installs, and the rule never sends."
    )
    return [RuleError("attribution_scope", 0, sentence, AttributionScope.ANY_ATTRIBUTED.value)]


def _trigger_problems(definition: RuleDefinition) -> list[RuleError]:
    if not definition.triggers:
        return [RuleError("triggers", 0, "Name at least one event, or * for any event.")]
    return [
        RuleError("triggers", 0, f"“{name}” is not an event name of 1 to 64 visible characters.")
        for name in definition.triggers
        if not 1 <= len(name) <= 64 or not is_visible(name) or name != name.strip()
    ]


def is_any_to_move() -> bool:
    """Tell whether a rule was saved whose queued postbacks may have to move."""
    return bool(_rules_to_move(1))


def move_queued(
    seconds: float, *, batch: int = BATCH, clock: Callable[[], float] = time.monotonic
) -> int:
    """Move queued postbacks for at most so many seconds; return how many were moved.

    Many rules are done in one walk through the queue. Only the role worker may do this; it sees
    every organization's rows.
    """
    until = clock() + seconds
    moved = 0
    while rules := _rules_to_move(_RULES_IN_ONE_WALK):
        current = _current_versions(rules)
        after = 0
        while ids := _move_batch([rule for rule in current if rule.lane], after, batch):
            moved += len(ids)
            after = max(ids)
            if clock() >= until:
                return moved  # the next run goes on: what is moved no longer matches
        _set_queue_versions(dict(rules) | {rule.rule_id: rule.version for rule in current})
        if clock() >= until:
            break
    return moved


def _rules_to_move(limit: int) -> list[RuleToMove]:
    with connection.cursor() as cursor:
        cursor.execute(_RULES_TO_MOVE, {"limit": limit})
        return [(rule_id, version) for rule_id, version in cursor.fetchall()]


def _current_versions(rules: Sequence[RuleToMove]) -> list[CompiledRule]:
    """Return the current versions, which may be newer by now; those that can't be read miss."""
    versions = load_rule_versions(rules).values()
    return [rule for rule in versions if rule.version == rule.current_version]


def _move_batch(rules: Sequence[CompiledRule], after: int, limit: int) -> list[int]:
    parameters: dict[str, Any] = {
        "rules": [rule.rule_id for rule in rules],
        "hosts": [rule.lane for rule in rules],
        "paced": [rule.definition.is_paced for rule in rules],
        "after": after,
        "limit": limit,
    }
    with connection.cursor() as cursor:
        cursor.execute(_MOVE_QUEUED, parameters)
        return [postback_id for (postback_id,) in cursor.fetchall()]


def _set_queue_versions(versions: Mapping[int, int]) -> None:
    parameters = {"rules": list(versions), "versions": list(versions.values())}
    with connection.cursor() as cursor:
        cursor.execute(_SET_QUEUE_VERSIONS, parameters)
