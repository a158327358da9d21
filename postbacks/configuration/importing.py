"""Imports a configuration document into an organization, all of it or nothing.

Rows are found by their names, so that an import may be repeated: equal rows are left, different
ones are changed, missing ones are created, and rows that the document doesn't name stay as they
are. Ids in it mean nothing here.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import msgspec
from django.core.exceptions import ValidationError
from django.db import models, transaction

from apps_registry.audit.actions import Action
from apps_registry.audit.audited_model import log_action
from apps_registry.models import (
    App,
    AttributionSettings,
    BundleId,
    Campaign,
    ConversionMeaning,
    Organization,
    Partner,
    TrackingLink,
    User,
)
from apps_registry.models.conversions import replace_meanings
from apps_registry.tenancy import Lifecycle, TenantModel, current_organization
from postbacks.alerts.saving import TooManyAlertsError, check_alert, save_alert
from postbacks.callbacks.rules import versions
from postbacks.configuration.alerts import find_alert
from postbacks.configuration.document import (
    AlertPart,
    AppPart,
    CampaignPart,
    CreditPart,
    Document,
    LinkPart,
    OrganizationPart,
    PartnerPart,
    SchedulePart,
)
from postbacks.configuration.exporting import RULE_FIELDS, RULE_REFERENCES
from postbacks.configuration.links_and_settings import find_active, find_link, find_settings
from postbacks.configuration.schedules import (
    SECRET,
    SET_BY_SAVING,
    find_schedule,
    save_schedule,
)
from postbacks.infrastructure.database.jobs import try_turn
from postbacks.models import Alert, CallbackRule, ExportSchedule, RuleStatus
from postbacks.rulebook import saving

Pointer = tuple[str | int, ...]

MOST_PROBLEMS: Final = 100  # that are named; an import that has so many goes no further


_KINDS: dict[type[models.Model], str] = {
    Organization: "organization",
    App: "apps",
    Partner: "partners",
    Campaign: "campaigns",
    TrackingLink: "tracking_links",
    AttributionSettings: "attribution_settings",
    CallbackRule: "callback_rules",
    Alert: "alerts",
    ExportSchedule: "export_schedules",
}


@dataclass(frozen=True, slots=True)
class ImportProblem:
    """Why a document can't be imported: a member of it, and what is wrong there."""

    pointer: Pointer
    detail: str


class ImportProblemsError(Exception):
    """Nothing was imported; `problems` has every reason."""

    def __init__(self, problems: list[ImportProblem]) -> None:
        super().__init__("; ".join(problem.detail for problem in problems))
        self.problems = problems


class ImportRunningError(Exception):
    """Another import of the organization is running; the message is a sentence."""

    def __init__(self) -> None:
        super().__init__("A configuration is being imported just now; try again when that is done.")


@dataclass
class ImportResult:
    """The changes of an import, or of its plan: names by kind, and the missing secrets."""

    created: dict[str, list[str]] = field(default_factory=dict)
    changed: dict[str, list[str]] = field(default_factory=dict)
    left: dict[str, list[str]] = field(default_factory=dict)
    credentials_to_enter: dict[str, list[str]] = field(default_factory=dict)
    drafts: list[str] = field(default_factory=list)


def import_document(
    document: Document, *, by: User | None, only_plan: bool = False
) -> ImportResult:
    """Import a document into the current organization.

    Raises ImportProblemsError, and ImportRunningError: one takes up to a minute.

    With `only_plan` everything is done and rolled back, so that a plan can't promise what fails.
    """
    importing = _Import(by)
    with transaction.atomic():
        if not try_turn("configuration"):
            raise ImportRunningError
        log_action(Action.IMPORTED, name="configuration")
        importing.run(document)
        if importing.problems or only_plan:
            transaction.set_rollback(True)
    if importing.problems:
        raise ImportProblemsError(importing.problems[:MOST_PROBLEMS])
    return importing.result


class _Import:
    """One running import."""

    def __init__(self, by: User | None) -> None:
        self.by = by
        self.result = ImportResult()
        self.problems: list[ImportProblem] = []
        self.missing: dict[str, list[str]] = {}  # by partner: credentials that it lacks

    def run(self, document: Document) -> None:
        """Import the parts in the order in which they refer to each other."""
        with self._collect_problems(("organization",)):
            self._organization(document.organization)
        steps: list[tuple[str, list[Any], Callable[[Any], None]]] = [
            ("apps", document.apps, self._app),
            ("partners", document.partners, self._partner),
            ("campaigns", document.campaigns, self._campaign),
            ("tracking_links", document.tracking_links, self._link),
            ("attribution_settings", document.attribution_settings, self._settings),
            ("callback_rules", document.callback_rules, self._rule),
            ("alerts", document.alerts, self._alert),
            ("export_schedules", document.export_schedules, self._schedule),
        ]
        for kind, parts, step in steps:
            for index, part in enumerate(parts):
                if len(self.problems) >= MOST_PROBLEMS:
                    return
                with self._collect_problems((kind, index)):
                    step(part)

    @contextmanager
    def _collect_problems(self, pointer: Pointer) -> Iterator[None]:
        """Undo a part with problems and note them; the import goes on with the next part."""
        try:
            with transaction.atomic():
                yield
        except ValidationError as error:
            self.problems += _problems(error, pointer)
        except saving.RuleProblemsError as error:
            self.problems += [
                ImportProblem((*pointer, *problem.field.split(".", 1)), problem.message)
                for problem in error.problems
            ]

    def _organization(self, part: OrganizationPart) -> None:
        organization = Organization.objects.get(pk=current_organization() or 0)
        wanted = (part.time_zone, part.currency or organization.currency)
        if (organization.time_zone, organization.currency) != wanted:
            organization.time_zone, organization.currency = wanted
            organization.full_clean()
            organization.save()
            self._note(self.result.changed, organization)

    def _app(self, part: AppPart) -> None:
        app = App.objects.filter(name=part.name, status=Lifecycle.ACTIVE).first()
        app = app or App(name=part.name)
        values = {
            "platform": part.platform,
            "store_id": part.store_id,
            "time_zone": part.time_zone,
            "store_share": _decimal(part.store_share),
        }
        stored = set(app.bundle_ids.values_list("identifier", flat=True)) if app.pk else set()
        new = [identifier for identifier in part.bundle_ids if identifier not in stored]
        self._store(app, values, parts_change=bool(new))
        for identifier in dict.fromkeys(new):
            BundleId(app=app, identifier=identifier).clean_fields(exclude=["organization", "app"])
            if app.claim(identifier) is None:
                raise ValidationError(
                    {"bundle_ids": f"The bundle ID {identifier} belongs to another app."}
                )
        self._conversions(app, part)

    def _conversions(self, app: App, part: AppPart) -> None:
        """Replace the meanings of an app's conversion values, if the document has any."""
        rows = [
            ConversionMeaning(
                **{
                    **msgspec.structs.asdict(meaning),
                    "least_revenue": _decimal_or_none(meaning.least_revenue),
                    "most_revenue": _decimal_or_none(meaning.most_revenue),
                }
            )
            for meaning in part.conversion_values
        ]
        if rows and replace_meanings(app, rows) and str(app) in self.result.left.get("apps", []):
            self.result.left["apps"].remove(str(app))
            self._note(self.result.changed, app)

    def _partner(self, part: PartnerPart) -> None:
        partner = Partner.objects.filter(name=part.name, status=Lifecycle.ACTIVE).first()
        partner = partner or Partner(name=part.name)
        values = {
            "allowed_hosts": part.allowed_hosts,
            "template": part.template,
            "skadnetwork_ids": [name.lower() for name in part.skadnetwork_ids],
        }
        self._store(partner, values)
        stored = set(partner.credentials.values_list("name", flat=True))
        lacking = sorted(set(part.credentials) - stored)
        if lacking:
            self.missing[part.name] = self.result.credentials_to_enter[part.name] = lacking

    def _campaign(self, part: CampaignPart) -> None:
        app = find_active(App, part.app, "app")
        partner = find_active(Partner, part.partner, "partner")
        rows = Campaign.objects.filter(app=app, name=part.name, status=Lifecycle.ACTIVE)
        campaign = rows.first() or Campaign(app=app, name=part.name)
        values = {"partner": partner, "remote_campaign_id": part.remote_campaign_id}
        self._store(campaign, values)

    def _link(self, part: LinkPart) -> None:
        self._store(*find_link(part))

    def _settings(self, part: CreditPart) -> None:
        self._store(*find_settings(part))

    def _rule(self, part: dict[str, Any]) -> None:
        unknown = part.keys() - {*RULE_FIELDS, *RULE_REFERENCES}
        if unknown or not isinstance(part.get("name"), str):
            detail = f"There is no field “{min(unknown)}”." if unknown else "A rule has a name."
            raise ValidationError(detail)
        values = {name: value for name, value in part.items() if name not in RULE_REFERENCES}
        values["app"] = find_active(App, part.get("app"), "app")
        values["partner"] = find_active(Partner, part.get("partner"), "partner")
        lacking = self.missing.get(str(part.get("partner")), [])
        status = str(values.get("status", RuleStatus.DRAFT))
        if status not in {RuleStatus.DRAFT, RuleStatus.ACTIVE, RuleStatus.PAUSED}:
            raise ValidationError({"status": "A rule is imported as draft, active or paused."})
        if lacking and status != RuleStatus.DRAFT:
            values["status"] = RuleStatus.DRAFT
            self.result.drafts.append(part["name"])
        rows = CallbackRule.objects.exclude(status=RuleStatus.ARCHIVED)
        rule = rows.filter(name=part["name"]).first() or CallbackRule()
        if rule.status == RuleStatus.SUSPENDED and values.get("status") == RuleStatus.PAUSED:
            values["status"] = rule.status  # as it was exported: it stays suspended
        self._store(rule, values, promised=lacking)

    def _alert(self, part: AlertPart) -> None:
        self._store(*find_alert(part))

    def _schedule(self, part: SchedulePart) -> None:
        schedule, values, lacks_secret = find_schedule(part)
        if lacks_secret:
            self.result.credentials_to_enter[f"Scheduled export {part.name}"] = [SECRET]
        self._store(schedule, values)

    def _store(
        self,
        row: TenantModel,
        values: dict[str, Any],
        *,
        parts_change: bool = False,
        promised: list[str] | None = None,
    ) -> None:
        """Write a row if it is new or differs; with `parts_change` note it as changed anyway."""
        is_new = row.pk is None
        differs = [name for name, value in values.items() if getattr(row, name, None) != value]
        if not is_new and not differs:
            self._note(self.result.changed if parts_change else self.result.left, row)
            return
        for name in differs:
            setattr(row, name, values[name])
        row.organization_id = current_organization() or 0
        if isinstance(row, CallbackRule):
            _check_shape(row)  # first: Django's own checks expect the right types
        unset = SET_BY_SAVING if isinstance(row, ExportSchedule) else ()
        row.full_clean(exclude=["organization", *unset], validate_constraints=False)
        row.validate_constraints()
        if isinstance(row, CallbackRule):
            saving.save(row, by=self.by, promised=promised or [])
        elif isinstance(row, Alert):
            _save_alert(row)
        elif isinstance(row, ExportSchedule):
            save_schedule(row)
        else:
            row.save()
        self._note(self.result.created if is_new else self.result.changed, row)

    def _note(self, names_by_kind: dict[str, list[str]], row: models.Model) -> None:
        names_by_kind.setdefault(_KINDS[type(row)], []).append(str(row))


def _save_alert(alert: Alert) -> None:
    check_alert(alert)
    try:
        save_alert(alert)
    except TooManyAlertsError as refusal:
        raise ValidationError(str(refusal)) from None


def _check_shape(rule: CallbackRule) -> None:
    try:
        versions.definition_from(rule)
    except msgspec.ValidationError as error:
        raise ValidationError(str(error)) from None


def _decimal_or_none(text: str | None) -> Decimal | None:
    try:
        return None if text is None else Decimal(text)
    except InvalidOperation:
        raise ValidationError({"conversion_values": f"“{text}” is not an amount."}) from None


def _decimal(text: str) -> Decimal:
    try:
        number = Decimal(text)
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite():  # one of the NaNs can't even be compared
        raise ValidationError({"store_share": f"“{text}” is not a number."})
    return number


def _problems(error: ValidationError, pointer: Pointer) -> list[ImportProblem]:
    if not hasattr(error, "error_dict"):
        return [ImportProblem(pointer, message) for message in error.messages]
    return [
        ImportProblem(pointer if name == "__all__" else (*pointer, name), message)
        for name, messages in error.message_dict.items()
        for message in messages
    ]
