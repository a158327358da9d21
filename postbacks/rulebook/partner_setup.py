"""Makes a partner from a template, with its credentials and draft rules."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from django.db import transaction

from apps_registry.models import App, Partner, User
from postbacks.callbacks.partner_templates import (
    PartnerTemplate,
    RuleTemplate,
    definition_from_template,
)
from postbacks.models import CallbackRule, RuleStatus
from postbacks.models.rules import LONGEST_RULE_NAME
from postbacks.rulebook import saving


@dataclass(frozen=True, slots=True)
class ChosenEvents:
    """The events that one rule of a template reports; `names` are the partner's, if it asks."""

    rule: RuleTemplate
    events: Sequence[str]
    names: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answers:
    """A person's answers to a template's questions."""

    name: str
    credentials: Mapping[str, str]
    chosen: Sequence[ChosenEvents]
    app: App | None = None
    address: str = ""


@dataclass(frozen=True, slots=True)
class NewPartner:
    """The partner and its draft rules."""

    partner: Partner
    rules: tuple[CallbackRule, ...]


def make_partner(
    template: PartnerTemplate, answers: Answers, *, allowed_hosts: Sequence[str], by: User | None
) -> NewPartner:
    """Make a partner and a draft rule for each request that has events.

    `allowed_hosts` are the template's, or those that an owner entered. Raises RuleProblemsError and
    makes nothing.
    """
    with transaction.atomic():
        partner = Partner(
            name=answers.name, template=template.name, allowed_hosts=list(allowed_hosts)
        )
        partner.save()
        partner.set_credentials(answers.credentials)
        rules = [
            _make_draft(partner, chosen, answers, by) for chosen in answers.chosen if chosen.events
        ]
        return NewPartner(partner, tuple(rules))


def _make_draft(
    partner: Partner, chosen: ChosenEvents, answers: Answers, by: User | None
) -> CallbackRule:
    definition = definition_from_template(
        chosen.rule, chosen.events, names=chosen.names, address=answers.address
    )
    rule = CallbackRule(
        name=free_rule_name(f"{partner.name}: {chosen.rule.title}"),
        app=answers.app,
        partner=partner,
        status=RuleStatus.DRAFT,
        **definition,
    )
    saving.save(rule, by=by)
    return rule


def free_rule_name(name: str) -> str:
    """Return the name, with a number after it if another rule in use has it."""
    name = name[: LONGEST_RULE_NAME - 4]
    used = set(
        CallbackRule.objects.filter(name__startswith=name)
        .exclude(status=RuleStatus.ARCHIVED)
        .values_list("name", flat=True)
    )
    numbered = (f"{name} {number}" for number in range(2, len(used) + 3))
    return next(free for free in (name, *numbered) if free not in used)
