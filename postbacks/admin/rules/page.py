"""Gather what the page of one callback rule shows, for its template."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from django.db import connection
from django.urls import reverse

from apps_registry.tenancy import current_organization
from postbacks.admin.rules.filling import TemplateOffers, template_offers
from postbacks.admin.rules.form import CallbackRuleForm
from postbacks.admin.rules.held import HeldView, held_view
from postbacks.admin.rules.help_texts import LABELS
from postbacks.admin.rules.hints import FixButton, remark_fix
from postbacks.admin.rules.labels import RuleRow, SavedVersion, current_rows, version_history
from postbacks.admin.rules.layout import FieldView, Findings, SectionView, sections_of
from postbacks.admin.rules.macro_catalogue import (
    CatalogueGroup,
    MacroView,
    filters,
    macro_groups,
    own_groups,
)
from postbacks.admin.rules.preview import RulePreview, preview_rule
from postbacks.callbacks.lint import STANDARD_EVENTS, WarningCode
from postbacks.callbacks.macros import RuleError
from postbacks.callbacks.partner_templates import TemplateParameter
from postbacks.delivery.lasting_failure import (
    FAILING_DAYS,
    MOST_GIVEN_UP,
    failing_rules,
    failure_that_suspended,
)
from postbacks.delivery.outcome import Outcome
from postbacks.infrastructure.database.prepared import load_sql
from postbacks.insights.recent_events import recent_event_names
from postbacks.models import CallbackRule, DuePostback, HeldPostback, RuleFailure, RuleStatus
from postbacks.rulebook.breakers import OpenBreaker, breakers_of_rules

MOST_COUNTED = 10_000

_GONE_SOUGHT_FOR = timedelta(days=7)
_FIND_GONE_ANSWER = load_sql("postbacks.admin.rules", "find_gone_answer", Outcome)


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """A problem or remark in the list that leads to its field, with the button that answers it."""

    field: str
    label: str
    message: str
    fix: FixButton | None = None


@dataclass(frozen=True, slots=True)
class AbsentParameter:
    """A parameter that the partner requires and the rule lacks, with the button that adds it."""

    row: TemplateParameter
    fix: FixButton | None


@dataclass(frozen=True, slots=True)
class Suspension:
    """The banner of a suspended rule. At most MOST_COUNTED waiting postbacks are counted.

    `since` is None where the partner's 410 answer is too long ago to be found.
    """

    since: datetime | None
    waiting: str
    log_url: str
    failure: RuleFailure | None  # None: it was suspended for a 410

    @property
    def is_one(self) -> bool:
        return self.waiting == "1"


@dataclass(frozen=True, slots=True)
class FailingNotice:
    """The banner of a rule that is on the way to a suspension."""

    failure: RuleFailure
    percent: int
    days: int = FAILING_DAYS
    most_given_up: int = MOST_GIVEN_UP


@dataclass(frozen=True, slots=True)
class RulePageContext:
    """The context of the template. Readers get `rows` in place of `sections`."""

    preview: RulePreview
    problems: tuple[FieldProblem, ...]
    saves_nothing: bool  # a button without JavaScript only asked for a look
    is_refused: bool = False  # the rule was to be saved, and could not be
    sections: tuple[SectionView, ...] = ()
    rows: tuple[RuleRow, ...] = ()
    history: tuple[SavedVersion, ...] = ()
    event_names: tuple[str, ...] = ()
    offers: TemplateOffers = field(default_factory=TemplateOffers)
    absent: tuple[AbsentParameter, ...] = ()
    own_macros: tuple[CatalogueGroup, ...] = ()
    macros: tuple[CatalogueGroup, ...] = ()
    filters: tuple[MacroView, ...] = ()
    saved: CallbackRule | None = None
    may_switch_on: bool = False
    suspension: Suspension | None = None
    failing: FailingNotice | None = None
    held: HeldView | None = None
    breakers: tuple[OpenBreaker, ...] = ()

    @property
    def remarks(self) -> tuple[FieldProblem, ...]:
        """Return the remarks on all fields, each once, without the costly ones."""
        return self._remarks(costly=False)

    @property
    def costly_remarks(self) -> tuple[FieldProblem, ...]:
        """Return the remarks on what would go wrong unnoticed, with their buttons."""
        return self._remarks(costly=True)

    @property
    def fields(self) -> Iterable[FieldView]:
        return _fields_of(self.sections)

    def _remarks(self, *, costly: bool) -> tuple[FieldProblem, ...]:
        remarks = (
            FieldProblem(
                view.bound.name,
                str(view.bound.label),
                remark.message,
                remark.fix if costly else None,
            )
            for view in self.fields
            for remark in view.remarks
            if remark.is_costly == costly and remark.macro not in self.preview.skipped_for
        )
        return tuple(dict.fromkeys(remarks))


def rule_page(
    form: CallbackRuleForm, *, saved: CallbackRule | None, may_write: bool, chosen: str
) -> RulePageContext:
    """Return the whole page of a rule; `chosen` is the event of its preview."""
    page = live_rule_page(form, may_write=may_write, chosen=chosen)
    is_on = form.initial.get("status") == RuleStatus.ACTIVE
    page = replace(
        page,
        is_refused=form.is_bound and not page.saves_nothing,
        may_switch_on=may_write and not is_on,
    )
    if saved is not None:
        page = replace(page, saved=saved, history=version_history(saved))
        # The form has put the chosen status into the rule: the row says what it is.
        stored = CallbackRule.objects.get(pk=saved.pk)
        page = replace(
            page,
            suspension=suspension_of(saved.pk),
            failing=failing_notice(saved.pk),
            held=held_view(stored),
            breakers=tuple(breakers_of_rules([stored]).get(stored.pk, ())),
        )
    if not may_write:
        return replace(page, rows=current_rows(saved) if saved is not None else ())
    names = dict.fromkeys((*STANDARD_EVENTS, *recent_event_names()))
    return replace(page, event_names=tuple(names), macros=macro_groups(), filters=filters())


def live_rule_page(form: CallbackRuleForm, *, may_write: bool, chosen: str) -> RulePageContext:
    """Return the parts of the page that change while a person writes."""
    _ = form.errors  # puts the sent values into the rule
    preview = preview_rule(form.instance, chosen=chosen)
    findings = Findings(form.rule_errors if form.is_bound else preview.problems, preview.remarks)
    sections = sections_of(form, findings) if may_write else ()
    from_rendering = [
        problem for problem in preview.problems if not _is_beside_field(form, problem)
    ]
    return RulePageContext(
        preview=preview,
        problems=_problem_list(sections, from_rendering),
        saves_nothing=form.saves_nothing,
        sections=sections,
        offers=template_offers(form.instance.partner, preview.template),
        absent=_absent(form, preview) if may_write else (),
        own_macros=own_groups(form.instance.partner, preview.parameters),
    )


def failing_notice(rule_id: int) -> FailingNotice | None:
    """Return the banner of a rule that is at least half way to a suspension."""
    for failure, percent in failing_rules(now=datetime.now(UTC)):
        if failure.pk == rule_id:
            return FailingNotice(failure, percent)
    return None


def suspension_of(rule_id: int) -> Suspension | None:
    """Return the banner of a suspended rule; None for any other."""
    rule = CallbackRule.objects.filter(pk=rule_id, status=RuleStatus.SUSPENDED).first()
    if rule is None:
        return None
    # What a job has not taken from the queue yet is held all the same.
    waiting = sum(
        rows.objects.filter(rule_id=rule_id)[: MOST_COUNTED + 1].count()
        for rows in (HeldPostback, DuePostback)
    )
    return Suspension(
        since=_gone_at(rule_id),
        waiting=f"{waiting:,}" if waiting <= MOST_COUNTED else f"more than {MOST_COUNTED:,}",
        log_url=f"{reverse('admin:postbacks_postback_changelist')}?rule={rule_id}&time=7d",
        failure=failure_that_suspended(rule),
    )


def _gone_at(rule_id: int) -> datetime | None:
    now = datetime.now(UTC)
    parameters = {
        "organization": current_organization(),
        "rule": rule_id,
        "since": now - _GONE_SOUGHT_FOR,
        "until": now,
    }
    with connection.cursor() as cursor:
        cursor.execute(_FIND_GONE_ANSWER, parameters)
        (moment,) = cursor.fetchone()
    return moment if isinstance(moment, datetime) else None


def _absent(form: CallbackRuleForm, preview: RulePreview) -> tuple[AbsentParameter, ...]:
    remarks = (remark for remark in preview.remarks if remark.code == WarningCode.REQUIRED_MISSING)
    return tuple(
        AbsentParameter(row, remark_fix(remark, form[remark.field], form.instance))
        for row, remark in zip(preview.absent, remarks, strict=True)
    )


def _is_beside_field(form: CallbackRuleForm, problem: RuleError) -> bool:
    return problem in form.rule_errors and form.field_of(problem) is not None


def _problem_list(
    sections: Iterable[SectionView], from_rendering: Iterable[RuleError]
) -> tuple[FieldProblem, ...]:
    """Return the fields' problems, then those of other fields that only rendering found."""
    beside_fields = tuple(
        FieldProblem(view.bound.name, str(view.bound.label), problem.message)
        for view in _fields_of(sections)
        for problem in view.problems
    )
    listed = {problem.field for problem in beside_fields}
    others = tuple(
        FieldProblem(name, LABELS.get(name, name.capitalize()), problem.message)
        for problem in from_rendering
        if (name := problem.field.partition(".")[0]) not in listed
    )
    return (*beside_fields, *others)


def _fields_of(sections: Iterable[SectionView]) -> Iterable[FieldView]:
    return (view for section in sections for group in section.groups for view in group.fields)
