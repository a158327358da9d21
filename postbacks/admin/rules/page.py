"""All that the page of one callback rule shows, for its template."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from django.db import connection
from django.urls import reverse

from apps_registry.tenancy import current_organization
from postbacks.admin.rules.filling import Offers, offers_of
from postbacks.admin.rules.form import CallbackRuleForm
from postbacks.admin.rules.help_texts import LABELS
from postbacks.admin.rules.hints import ShownFix, fix_of_remark
from postbacks.admin.rules.labels import RuleRow, SavedVersion, history_of, words_of
from postbacks.admin.rules.layout import Findings, ShownField, ShownSection, sections_of
from postbacks.admin.rules.macro_catalogue import (
    CatalogueGroup,
    ShownMacro,
    filters,
    macro_groups,
    own_groups,
)
from postbacks.admin.rules.preview import ShownPreview, preview_of
from postbacks.callbacks.lint import Code
from postbacks.callbacks.macros import RuleError
from postbacks.callbacks.partner_templates import TemplateParameter
from postbacks.delivery.outcome import Outcome
from postbacks.insights.recent_events import recent_event_names
from postbacks.models import CallbackRule, DuePostback, RuleStatus

# FOLDED from rule_suspension.py

MOST_COUNTED = 10_000
_LOOKED_BACK = timedelta(days=7)
_LOOKED_AT = 500  # failed attempts of the organization's newest events

# `outcome <> 'delivered'` stands as in the partial index that serves it.
_READ = f"""
SELECT max(attempt.started_at)
FROM (
    SELECT postback_id, event_received_at, started_at, status_code FROM delivery_attempt
    WHERE organization_id = %(organization)s AND outcome <> '{Outcome.DELIVERED}'
      AND event_received_at > %(since)s AND event_received_at <= %(until)s
    ORDER BY event_received_at DESC, id DESC LIMIT {_LOOKED_AT}
) AS attempt
JOIN postback
  ON postback.organization_id = %(organization)s
 AND postback.event_received_at = attempt.event_received_at
 AND postback.id = attempt.postback_id
 AND postback.event_received_at > %(since)s AND postback.event_received_at <= %(until)s
WHERE attempt.status_code = 410 AND postback.rule_id = %(rule)s AND NOT postback.test
"""  # noqa: S608  # only our own words are put in


@dataclass(frozen=True, slots=True)
class Suspension:
    """This is what the banner says. `since` is None where the answer is too long ago to be found;
    at most MOST_COUNTED postbacks are counted.
    """

    since: datetime | None
    waiting: str
    log_url: str

    @property
    def is_one(self) -> bool:
        return self.waiting == "1"


def suspension_of(rule_id: int) -> Suspension | None:
    """Return what there is to say of a suspended rule; None for any other."""
    if not CallbackRule.objects.filter(pk=rule_id, status=RuleStatus.SUSPENDED).exists():
        return None
    waiting = DuePostback.objects.filter(rule_id=rule_id)[: MOST_COUNTED + 1].count()
    return Suspension(
        since=_gone_at(rule_id),
        waiting=f"{waiting:,}" if waiting <= MOST_COUNTED else f"more than {MOST_COUNTED:,}",
        log_url=f"{reverse('admin:postbacks_postback_changelist')}?rule={rule_id}&time=7d",
    )


def _gone_at(rule_id: int) -> datetime | None:
    now = datetime.now(UTC)
    given = {
        "organization": current_organization(),
        "rule": rule_id,
        "since": now - _LOOKED_BACK,
        "until": now,
    }
    with connection.cursor() as cursor:
        cursor.execute(_READ, given)
        (moment,) = cursor.fetchone()
    return moment if isinstance(moment, datetime) else None


_STANDARD_NAMES = ("install", "open", "registration", "purchase")


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """A problem in the list that leads to its field."""

    field: str
    label: str
    message: str


@dataclass(frozen=True, slots=True)
class AbsentRow:
    """A parameter that the partner requires and the rule lacks, with the button that adds it."""

    row: TemplateParameter
    fix: ShownFix | None


@dataclass(frozen=True, slots=True)
class RulePageContext:
    """What the template draws. Readers get `lines` in place of `sections`."""

    preview: ShownPreview
    problems: tuple[FieldProblem, ...]
    is_looked_at: bool  # sent for a look without JavaScript
    is_refused: bool = False  # was to be saved, and could not
    sections: tuple[ShownSection, ...] = ()
    lines: tuple[RuleRow, ...] = ()
    history: tuple[SavedVersion, ...] = ()
    event_names: tuple[str, ...] = ()
    offers: Offers = field(default_factory=Offers)
    absent: tuple[AbsentRow, ...] = ()
    own_macros: tuple[CatalogueGroup, ...] = ()
    macros: tuple[CatalogueGroup, ...] = ()
    filters: tuple[ShownMacro, ...] = ()
    saved: CallbackRule | None = None
    may_switch_on: bool = False
    suspension: Suspension | None = None

    @property
    def remarks(self) -> tuple[FieldProblem, ...]:
        """Return what is remarked on any field, each remark once."""
        found = (
            FieldProblem(it.bound.name, str(it.bound.label), remark.message)
            for it in self.fields
            for remark in it.remarks
        )
        return tuple(dict.fromkeys(found))

    @property
    def fields(self) -> Iterable[ShownField]:
        return (it for section in self.sections for group in section.groups for it in group.fields)


def page_of(
    form: CallbackRuleForm, *, saved: CallbackRule | None, may_write: bool, chosen: str
) -> RulePageContext:
    """Return what the page of a rule shows; `chosen` is the event to look at it with."""
    page = live_page_of(form, may_write=may_write, chosen=chosen)
    is_on = form.initial.get("status") == RuleStatus.ACTIVE
    page = replace(
        page,
        is_refused=form.is_bound and not page.is_looked_at,
        may_switch_on=may_write and not is_on,
    )
    if saved is not None:
        page = replace(page, saved=saved, history=history_of(saved))
        # The form has put what was chosen into the rule: the row says what it is.
        page = replace(page, suspension=suspension_of(saved.pk))
    if not may_write:
        return replace(page, lines=words_of(saved) if saved is not None else ())
    names = dict.fromkeys((*_STANDARD_NAMES, *recent_event_names()))
    return replace(page, event_names=tuple(names), macros=macro_groups(), filters=filters())


def live_page_of(form: CallbackRuleForm, *, may_write: bool, chosen: str) -> RulePageContext:
    """Return the part of the page that changes while a person writes."""
    _ = form.errors  # puts what was sent into the rule
    preview = preview_of(form.instance, chosen=chosen)
    found = Findings(form.found if form.is_bound else preview.problems, preview.remarks)
    sections = sections_of(form, found) if may_write else ()
    return RulePageContext(
        preview=preview,
        problems=_listed(sections, [it for it in preview.problems if not _is_told(form, it)]),
        is_looked_at=form.is_looked_at,
        sections=sections,
        offers=offers_of(form.instance.partner, preview.template),
        absent=_absent(form, preview) if may_write else (),
        own_macros=own_groups(form.instance.partner, preview.parameters),
    )


def _absent(form: CallbackRuleForm, preview: ShownPreview) -> tuple[AbsentRow, ...]:
    remarks = (it for it in preview.remarks if it.code == Code.REQUIRED_MISSING)
    return tuple(
        AbsentRow(row, fix_of_remark(remark, form[remark.field], form.instance))
        for row, remark in zip(preview.absent, remarks, strict=True)
    )


def _is_told(form: CallbackRuleForm, problem: RuleError) -> bool:
    return problem in form.found and form.field_of(problem) is not None


def _listed(
    sections: Iterable[ShownSection], rendering: Iterable[RuleError]
) -> tuple[FieldProblem, ...]:
    fields = [it for section in sections for group in section.groups for it in group.fields]
    beside = tuple(
        FieldProblem(it.bound.name, str(it.bound.label), problem.message)
        for it in fields
        for problem in it.problems
    )
    told = {problem.field for problem in beside}
    found = tuple(
        FieldProblem(name, LABELS.get(name, name.capitalize()), problem.message)
        for problem in rendering
        if (name := problem.field.partition(".")[0]) not in told
    )
    return (*beside, *found)
