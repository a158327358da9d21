"""Why each rule sent an event to its partner, or did not.

What was sent is read from the log. If nothing was, the functions that decide postbacks decide the
event again by the rule, its status and the install's credit of that time; their refusals are the
reasons. Where the rule and the credit of today would decide otherwise, that is said too.
"""

import logging
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.db.models import Q
from django.utils import timezone

from postbacks.attribution.installs import KnownInstall, KnownInstalls, foresee_installs
from postbacks.callbacks.credits import load_credit_versions
from postbacks.callbacks.currency.stored_rates import RatesOfDays, load_rates
from postbacks.callbacks.decisions import (
    FIRST_TIME,
    all_refusals_and_decision,
    facts_if_decided,
    first_time_devices,
    uses_first_time,
)
from postbacks.callbacks.rules.compiled import CompiledRule
from postbacks.callbacks.rules.conditions import Refusal
from postbacks.insights import wording
from postbacks.models import (
    Attribution,
    CallbackRule,
    Event,
    Postback,
    PostbackStatus,
    RuleDevice,
    RuleStatus,
    SkipReason,
    UndecidedEvent,
)
from postbacks.models.events import ERASED
from postbacks.models.stored import load_events
from postbacks.rulebook.breakers import mark_waiting
from postbacks.rulebook.postback_reasons import (
    OFF,
    EmptyMacros,
    RuleDecision,
    decision_and_reason,
    empty_macros_by_request,
    last_attempts,
    skip_reason_sentence,
    version_of,
)
from postbacks.rulebook.refusal_details import RefusalWording, skip_refusal_of
from postbacks.rulebook.versions import RuleState, RuleThenAndNow, rules_then_and_now
from postbacks.values.events import StoredEvent
from postbacks.values.install_context import InstallContext, install_context

logger = logging.getLogger(__name__)

CHANGED_SINCE = "changed_since"

_UNDECIDED = Refusal("undecided", "The event has not been decided yet.")
_FIRST_TIME = Refusal(FIRST_TIME, "The rule has sent for this device before.")
_UNREADABLE = Refusal("rule_error", "The rule can't be applied; the operator's log says why.")
_UNEXPLAINED = Refusal(
    "unexplained",
    "The rule as it was then wanted the event. Either it changed while the event waited to be "
    "decided, or its postback is no longer stored.",
)
_WAS_OFF: Mapping[str, str] = {
    RuleStatus.DRAFT: "The rule was a draft; only active rules send.",
    RuleStatus.PAUSED: "The rule was paused.",
    RuleStatus.SUSPENDED: "We had suspended the rule, since its partner refused or failed.",
    RuleStatus.ARCHIVED: "The rule was archived.",
}
# If a rule made several postbacks of an event, the first of these is explained.
_PRECEDENCE = (
    PostbackStatus.DELIVERED,
    PostbackStatus.PENDING,
    PostbackStatus.FAILED,
    PostbackStatus.SKIPPED,
)
_MOST_ARCHIVED = 500  # an organization may archive as many as it likes
MOST_EXPLAINED = 20  # events of one device
_EVENTS_SECONDS = 1.5
_PATIENCE_SECONDS = 5.0  # of processor time for all rules
_NOT_LOOKED_AT = Refusal(
    "not_looked_at",
    "The rules before this one took too long to look at. Archive rules that are not needed, or "
    "make their conditions simpler.",
)
_REFUSED_AS_FORGOTTEN = Refusal(
    "device_forgotten", "The device was forgotten, so the event would be refused on arrival."
)
_SKIPS = frozenset(SkipReason.values)
_ROUNDING = timedelta(milliseconds=1)  # of the time at which an event was received


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What a rule would do with the event if it came now, and the reasons."""

    decision: RuleDecision
    reasons: tuple[Refusal, ...]

    @property
    def label(self) -> str:
        return self.decision.foreseen_label


@dataclass(frozen=True, slots=True)
class Explanation:
    """One rule's decision about an event, and the reasons.

    `if_it_came_now` is judged by the rule and the install's credit of today. `postback` is None if
    the rule made none; `empty_macros` have no value in its request.
    """

    rule: CallbackRule
    decision: RuleDecision
    reasons: tuple[Refusal, ...]
    if_it_came_now: Foreseen
    postback: Postback | None = None
    empty_macros: EmptyMacros = ()

    @property
    def changed_since(self) -> str:
        """Return how today's rule would decide, empty if no otherwise."""
        return next((r.detail for r in self.reasons if r.code == CHANGED_SINCE), "")

    @property
    def decided(self) -> tuple[Refusal, ...]:
        """Return the reasons for the decision, without what would be different today."""
        return tuple(reason for reason in self.reasons if reason.code != CHANGED_SINCE)


def explain(event: Event, *, partner_id: int | None = None) -> list[Explanation]:
    """Explain an event for each rule in use, and for the archived ones that were there for it.

    With `partner_id` only for the rules of this partner.
    """
    (stored,) = load_events([(event.pk, event.received_at)])
    rows = list(
        Postback.objects.filter(event_received_at=event.received_at, event_id=event.pk, test=False)
        .select_related("rule")
        .order_by("id")
    )
    postbacks = _postback_by_rule(rows)
    rules = [
        rule
        for rule in _rules_to_explain(postbacks.keys())
        if partner_id is None or rule.partner_id == partner_id
    ]
    judge = _Judge.of(stored, rules, decided_at=_decided_at(event, rows))
    history = rules_then_and_now(rules, judge.decided_at)
    explain_postback = _postback_explainer(list(postbacks.values()), judge)
    return [
        explain_postback(history[rule.pk], postbacks[rule.pk])
        if rule.pk in postbacks
        else _explain_silence(history[rule.pk], judge)
        for rule in rules
        if rule.pk in postbacks or _was_there(history[rule.pk])
    ]


def explain_newest(events: Iterable[Event]) -> dict[int, list[Explanation]]:
    """Explain the newest of some events, by their row ids, for as long as there is time."""
    began = time.monotonic()
    explained: dict[int, list[Explanation]] = {}
    newest = sorted(events, key=lambda event: (event.received_at, event.pk), reverse=True)
    for event in newest[:MOST_EXPLAINED]:
        if time.monotonic() - began > _EVENTS_SECONDS:
            break
        explained[event.pk] = [
            each
            for each in explain(event)
            if each.postback or each.rule.app_id in {None, event.app_id}
        ]
    return explained


def _rules_to_explain(with_postback: Collection[int]) -> list[CallbackRule]:
    """Return the rules in use, those with a postback, and of the other archived ones the newest."""
    archived = CallbackRule.objects.filter(status=RuleStatus.ARCHIVED).order_by("-pk")
    rules = CallbackRule.objects.filter(
        Q(pk__in=with_postback)
        | ~Q(status=RuleStatus.ARCHIVED)
        | Q(pk__in=archived.values("pk")[:_MOST_ARCHIVED])
    )
    return list(rules.select_related("partner", "app").order_by("name", "pk"))


def _postback_by_rule(rows: Sequence[Postback]) -> dict[int, Postback]:
    ordered = sorted(rows, key=lambda row: -_PRECEDENCE.index(PostbackStatus(row.status)))
    return {postback.rule_id: postback for postback in ordered}


def _decided_at(event: Event, postbacks: Sequence[Postback]) -> datetime:
    """Return when the event was decided, which only its postbacks tell: else when it arrived.

    Those of a later credit were decided later.
    """
    return min(
        (postback.created_at for postback in postbacks if postback.attribution_version == 1),
        default=event.received_at + _ROUNDING,
    )


def _was_there(rule: RuleThenAndNow) -> bool:
    """Tell whether a rule is in use, or was archived only after the event, as far as is known."""
    if rule.rule.status != RuleStatus.ARCHIVED:
        return True
    was_in_use = rule.then.status != RuleStatus.ARCHIVED or rule.log_begins_at is not None
    return was_in_use and not rule.is_newer


@dataclass(frozen=True, slots=True)
class _Judge:
    """Decides one event again: by what held when it was decided, and by what holds today.

    `served` are the rules for first times that have sent for its device, at whatever time.
    """

    event: StoredEvent
    decided_at: datetime
    now: datetime
    install_then: InstallContext
    install_now: InstallContext
    rates: RatesOfDays
    is_undecided: bool
    served: Set[int]
    words_then: RefusalWording
    words_now: RefusalWording
    began: float = field(default_factory=time.thread_time)

    @classmethod
    def of(
        cls, event: StoredEvent, rules: Sequence[CallbackRule], *, decided_at: datetime
    ) -> "_Judge":
        known_install = foresee_installs([event], KnownInstalls()).get(event.id)
        install_then = install_context(event, _credited_at(known_install, decided_at))
        install_now = install_context(event, known_install)
        return cls(
            event=event,
            decided_at=decided_at,
            now=datetime.now(UTC),
            install_then=install_then,
            install_now=install_now,
            words_then=RefusalWording(event, install_then),
            words_now=RefusalWording(event, install_now),
            rates=load_rates([event.event_time] if event.has_money else []),
            is_undecided=UndecidedEvent.objects.filter(pk=event.id).exists(),
            served=set(
                RuleDevice.objects.filter(
                    rule__in=rules, device__in=first_time_devices(event)
                ).values_list("rule_id", flat=True)
            ),
        )

    @property
    def is_erased(self) -> bool:
        return self.event.device.startswith(ERASED)

    def refusals_then(self, rule: RuleThenAndNow) -> tuple[Refusal, ...]:
        refusals = self._refusals(rule.rule, rule.then, self.install_then, self.decided_at)
        if rule.then.status == RuleStatus.SUSPENDED and not rule.then.is_partner_archived:
            return tuple(refusals)  # it decides all the same, and holds
        return (*_switched_off(rule.then, _WAS_OFF), *refusals)

    def refusals_now(self, rule: RuleThenAndNow) -> tuple[Refusal, ...]:
        refusals = self._refusals(rule.rule, rule.now, self.install_now, self.now)
        return (*_switched_off(rule.now, OFF), *refusals)

    def foreseen(self, rule: RuleThenAndNow) -> Foreseen:
        """Say what the rule would do with the event if it came now."""
        if self.is_erased:
            return Foreseen(RuleDecision.NOT_MATCHED, (_REFUSED_AS_FORGOTTEN,))
        refusals = self.refusals_now(rule)
        if not refusals:
            return Foreseen(RuleDecision.PENDING, (_wanted(rule.rule),))
        codes = {refusal.code for refusal in refusals}
        if codes == {RuleStatus.SUSPENDED}:
            return Foreseen(RuleDecision.HELD, refusals)
        is_skip = codes <= _SKIPS
        return Foreseen(RuleDecision.SKIPPED if is_skip else RuleDecision.NOT_MATCHED, refusals)

    def skip_of(self, rule: RuleThenAndNow, postback: Postback) -> Refusal | None:
        """Return why a postback was skipped, with the evidence; None where it is no longer known.

        A rule may have changed between the decision and the skip.
        """
        for state in (rule.then, rule.now):
            if state.compiled is None:
                continue
            facts = facts_if_decided(
                state.compiled,
                self.event,
                self.install_then,
                postback=postback.public_id,
                now=postback.created_at,
            )
            rates = self.rates.of(self.event.event_time, known_at=postback.created_at)
            if refusal := skip_refusal_of(postback.reason, state.compiled, facts, rates):
                return refusal
        return None

    def differences(self, rule: RuleThenAndNow) -> Iterator[str]:
        """Yield what is other today than it was."""
        if rule.then.version != rule.now.version:
            yield (
                f"the event was judged by version {rule.then.version}, today it is version "
                f"{rule.now.version}"
            )
        if rule.then.status != rule.now.status:
            yield "the rule is on today"
        if rule.then.is_partner_archived and not rule.now.is_partner_archived:
            yield "its partner is in use today"
        if self.install_then.attribution_version != self.install_now.attribution_version:
            yield "the install is credited otherwise today"

    def _refusals(
        self, rule: CallbackRule, state: RuleState, install: InstallContext, moment: datetime
    ) -> Sequence[Refusal]:
        if state.compiled is None:
            return (_UNREADABLE,)
        words = self.words_then if install is self.install_then else self.words_now
        scope = state.compiled.definition.attribution_scope
        refusals = self._plain_refusals(state.compiled, install, moment)
        return [words.named(refusal, rule, scope) for refusal in refusals]

    def _plain_refusals(
        self, rule: CompiledRule, install: InstallContext, moment: datetime
    ) -> Sequence[Refusal]:
        if time.thread_time() - self.began > _PATIENCE_SECONDS:
            return (_NOT_LOOKED_AT,)
        rates = self.rates.of(self.event.event_time, known_at=moment)
        try:
            refusals, decision = all_refusals_and_decision(
                rule, self.event, install, now=moment, rates=rates
            )
        except Exception:
            logger.exception("Rule %d could not be applied to an event", rule.rule_id)
            return (_UNREADABLE,)
        if refusals or decision is None:
            return refusals
        if decision.reason:
            facts = facts_if_decided(
                rule, self.event, install, postback=UUID(decision.public_id), now=moment
            )
            evident = skip_refusal_of(decision.reason, rule, facts, rates)
            plain = Refusal(decision.reason, skip_reason_sentence(decision.reason))
            return (evident or plain,)
        is_served = uses_first_time(decision) and decision.rule.rule_id in self.served
        return (_FIRST_TIME,) if is_served else ()


def _postback_explainer(
    postbacks: Sequence[Postback], judge: _Judge
) -> Callable[[RuleThenAndNow, Postback], Explanation]:
    """Load what all postbacks' explanations read, and return what explains one of them."""
    mark_waiting(postbacks)
    attempts = last_attempts(postbacks)
    versions = {p.pk: version_of(p, attempts.get(p.pk)) for p in postbacks}
    empty = empty_macros_by_request((p, versions[p.pk]) for p in postbacks)

    def explain_postback(rule: RuleThenAndNow, postback: Postback) -> Explanation:
        macros = empty.get((postback.pk, versions[postback.pk]), ())
        decision, reason = decision_and_reason(
            postback, empty=macros, last=attempts.get(postback.pk)
        )
        today = () if judge.is_erased else _otherwise_today(rule, decision, judge)
        if decision is RuleDecision.SKIPPED and not judge.is_erased:
            reason = judge.skip_of(rule, postback) or reason
        now = judge.foreseen(rule)
        return Explanation(rule.rule, decision, (reason, *today), now, postback, macros)

    return explain_postback


def _otherwise_today(
    rule: RuleThenAndNow, decision: RuleDecision, judge: _Judge
) -> tuple[Refusal, ...]:
    """Say if a rule that made a postback would decide otherwise today."""
    refusals = [r for r in judge.refusals_now(rule) if r.code != FIRST_TIME]
    if decision is RuleDecision.SKIPPED:
        return () if refusals else (_would_be_sent(rule, judge),)
    if decision is RuleDecision.HELD:  # that the rule is off is its reason already
        refusals = [r for r in refusals if r.code != rule.now.status]
    if not refusals:
        return ()
    why = wording.lower_first(refusals[0].detail)
    return (Refusal(CHANGED_SINCE, f"Decided today, it would not be sent: {why}"),)


def _would_be_sent(rule: RuleThenAndNow, judge: _Judge) -> Refusal:
    differences = "; ".join(judge.differences(rule))
    ending = f": {differences}." if differences else "."
    return Refusal(CHANGED_SINCE, f"Decided today, it would be sent{ending}")


def _explain_silence(rule: RuleThenAndNow, judge: _Judge) -> Explanation:
    """Explain why a rule made no postback."""
    decision = RuleDecision.HELD if judge.is_undecided else RuleDecision.NOT_MATCHED
    reasons = (_UNDECIDED,) if judge.is_undecided else _reasons_of_silence(rule, judge)
    return Explanation(rule.rule, decision, reasons, judge.foreseen(rule))


def _reasons_of_silence(rule: RuleThenAndNow, judge: _Judge) -> tuple[Refusal, ...]:
    if rule.is_newer:
        return _newer(judge.refusals_now(rule))
    refusals, notes = judge.refusals_then(rule), tuple(_unknown(rule, judge))
    if not refusals and rule.then.status == RuleStatus.SUSPENDED:
        # Suspended rules decide and hold; before they did, their events made no postback.
        refusals = (Refusal(rule.then.status, _WAS_OFF[rule.then.status]),)
    if not refusals:
        return notes or (_UNEXPLAINED,)
    wants_now = not judge.is_erased and not judge.refusals_now(rule)
    today = (_would_be_sent(rule, judge),) if wants_now else ()
    return (*refusals, *notes, *today)


def _wanted(rule: CallbackRule) -> Refusal:
    delay = f" after {wording.seconds(rule.delay_seconds)}" if rule.delay_seconds else ""
    return Refusal("wanted", f"It would be sent{delay}.")


def _newer(refusals_now: tuple[Refusal, ...]) -> tuple[Refusal, ...]:
    detail = "The rule was made after the event arrived."
    if not refusals_now:
        detail = f"{detail} Today it would be sent."
    return (Refusal("rule_is_newer", detail), *refusals_now)


def _unknown(rule: RuleThenAndNow, judge: _Judge) -> Iterator[Refusal]:
    """Yield what is no longer known of the time of the event."""
    if judge.is_erased:
        yield Refusal(
            "erased", "The device was forgotten; this is judged by what is left of the event."
        )
    if rule.log_begins_at is not None:
        begins = wording.format_moment(timezone.localtime(rule.log_begins_at))
        yield Refusal(
            "log_too_short",
            f"The audit log begins on {begins}, after the event: whether the rule and its partner "
            "were on then is not known for certain.",
        )
    if not rule.has_version:
        yield Refusal(
            "version_unknown",
            "No version of the rule from before the event is stored; this is judged by its oldest, "
            f"version {rule.then.version}.",
        )


def _credited_at(install: KnownInstall | None, moment: datetime) -> KnownInstall | None:
    """Return an install with the credit that it had at a moment, at least its first."""
    if install is None or not install.id or install.version == 1:
        return install
    credits_ = list(
        Attribution.objects.filter(install_id=install.id)
        .order_by("version")
        .values_list("version", "decided_at")
    )
    versions = [number for number, decided_at in credits_ if decided_at <= moment]
    version = max(versions, default=credits_[0][0] if credits_ else install.version)
    if version == install.version:
        return install
    credit = load_credit_versions([(install.id, version)])[install.id, version]
    kind = credit.facts.install_kind
    return replace(install, version=version, facts=credit.facts, kind=kind)


def _switched_off(state: RuleState, words: Mapping[str, str]) -> Iterator[Refusal]:
    if state.status != RuleStatus.ACTIVE:
        yield Refusal(state.status, words[state.status])
    elif state.is_partner_archived:
        yield Refusal("partner_archived", "The rule's partner was archived.")
