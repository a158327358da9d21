"""Brings an organization's configuration to what a document says, all of it or nothing.

Rows are found by their names, so that an import may be repeated: what is equal is left, what
differs is changed, what is missing is created, and nothing that the document doesn't name is
touched. Ids in it mean nothing here.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

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
from postbacks.callbacks.rules import versions
from postbacks.configuration.crediting import find_link, find_settings
from postbacks.configuration.document import (
    AppPart,
    CampaignPart,
    CreditPart,
    Document,
    LinkPart,
    PartnerPart,
)
from postbacks.configuration.exporting import RULE_FIELDS, RULE_REFERENCES
from postbacks.models import CallbackRule, RuleStatus
from postbacks.rulebook import saving

Pointer = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class ImportProblem:
    """Why a document can't be imported: a place in it, and what is wrong there."""

    pointer: Pointer
    detail: str


class ImportProblemsError(Exception):
    """Nothing was imported; `faults` names every reason."""

    def __init__(self, faults: list[ImportProblem]) -> None:
        super().__init__("; ".join(fault.detail for fault in faults))
        self.faults = faults


@dataclass
class ImportResult:
    """What an import did, or would do: names by kind, and the secrets that are still missing."""

    created: dict[str, list[str]] = field(default_factory=dict)
    changed: dict[str, list[str]] = field(default_factory=dict)
    left: dict[str, list[str]] = field(default_factory=dict)
    credentials_to_enter: dict[str, list[str]] = field(default_factory=dict)
    drafts: list[str] = field(default_factory=list)


def import_document(
    document: Document, *, by: User | None, only_plan: bool = False
) -> ImportResult:
    """Import a document into the current organization. Raises ImportFaultsError.

    With `only_plan` everything is done and undone, so that a plan can't promise what fails.
    """
    importing = _Import(by)
    with transaction.atomic():
        log_action(Action.IMPORTED, name="configuration")
        importing.run(document)
        if importing.faults or only_plan:
            transaction.set_rollback(True)
    if importing.faults:
        raise ImportProblemsError(importing.faults)
    return importing.outcome


class _Import:
    """One import on its way."""

    def __init__(self, by: User | None) -> None:
        self.by = by
        self.outcome = ImportResult()
        self.faults: list[ImportProblem] = []
        self.missing: dict[str, list[str]] = {}  # by partner: credentials that it lacks

    def run(self, document: Document) -> None:
        """Import part after part; later ones refer to earlier ones."""
        with self._at(("organization",)):
            self._organization(document.organization.time_zone)
        steps: list[tuple[str, list[Any], Callable[[Any], None]]] = [
            ("apps", document.apps, self._app),
            ("partners", document.partners, self._partner),
            ("campaigns", document.campaigns, self._campaign),
            ("tracking_links", document.tracking_links, self._link),
            ("attribution_settings", document.attribution_settings, self._settings),
            ("callback_rules", document.callback_rules, self._rule),
        ]
        for kind, parts, step in steps:
            for place, part in enumerate(parts):
                with self._at((kind, place)):
                    step(part)

    @contextmanager
    def _at(self, place: Pointer) -> Iterator[None]:
        """Note what is wrong at a place, and go on with the next."""
        try:
            with transaction.atomic():
                yield
        except ValidationError as error:
            self.faults += _problems(error, place)
        except saving.RuleProblemsError as error:
            self.faults += [
                ImportProblem((*place, *it.field.split(".", 1)), it.message)
                for it in error.problems
            ]

    def _organization(self, time_zone: str) -> None:
        organization = Organization.objects.get(pk=current_organization() or 0)
        if organization.time_zone != time_zone:
            organization.time_zone = time_zone
            organization.full_clean()
            organization.save()
            self._note(self.outcome.changed, organization)

    def _app(self, part: AppPart) -> None:
        app = App.objects.filter(name=part.name, status=Lifecycle.ACTIVE).first()
        app = app or App(name=part.name)
        values = {
            "platform": part.platform,
            "store_id": part.store_id,
            "time_zone": part.time_zone,
            "store_share": _decimal(part.store_share),
        }
        known = set(app.bundle_ids.values_list("identifier", flat=True)) if app.pk else set()
        wanted = [identifier for identifier in part.bundle_ids if identifier not in known]
        self._store(app, values, also=bool(wanted))
        for identifier in dict.fromkeys(wanted):
            BundleId(app=app, identifier=identifier).clean_fields(exclude=["organization", "app"])
            if app.claim(identifier) is None:
                raise ValidationError(
                    {"bundle_ids": f"The bundle ID {identifier} belongs to another app."}
                )
        self._conversions(app, part)

    def _conversions(self, app: App, part: AppPart) -> None:
        """Have an app mean by conversion values what the document says, if it says anything."""
        said = [msgspec.structs.asdict(line) for line in part.conversion_values]
        rows = [
            ConversionMeaning(
                **{**line, **{name: _decimal_or_none(line[name]) for name in _AMOUNTS}}
            )
            for line in said
        ]
        if rows and replace_meanings(app, rows) and str(app) in self.outcome.left.get("apps", []):
            self.outcome.left["apps"].remove(str(app))
            self._note(self.outcome.changed, app)

    def _partner(self, part: PartnerPart) -> None:
        partner = Partner.objects.filter(name=part.name, status=Lifecycle.ACTIVE).first()
        partner = partner or Partner(name=part.name)
        values = {
            "allowed_hosts": part.allowed_hosts,
            "template": part.template,
            "skadnetwork_ids": [name.lower() for name in part.skadnetwork_ids],
        }
        self._store(partner, values)
        known = set(partner.credentials.values_list("name", flat=True))
        lacking = sorted(set(part.credentials) - known)
        if lacking:
            self.missing[part.name] = self.outcome.credentials_to_enter[part.name] = lacking

    def _campaign(self, part: CampaignPart) -> None:
        app, partner = (
            _find_active(App, part.app, "app"),
            _find_active(Partner, part.partner, "partner"),
        )
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
        for name, kind in (("app", App), ("partner", Partner)):
            values[name] = (
                _find_active(kind, part[name], name) if part.get(name) is not None else None
            )
        lacking = self.missing.get(str(part.get("partner")), [])
        wished = str(values.get("status", RuleStatus.DRAFT))
        if wished not in {RuleStatus.DRAFT, RuleStatus.ACTIVE, RuleStatus.PAUSED}:
            raise ValidationError({"status": "A rule is imported as draft, active or paused."})
        if lacking and wished != RuleStatus.DRAFT:
            values["status"] = RuleStatus.DRAFT
            self.outcome.drafts.append(part["name"])
        rows = CallbackRule.objects.exclude(status=RuleStatus.ARCHIVED)
        rule = rows.filter(name=part["name"]).first() or CallbackRule()
        if rule.status == RuleStatus.SUSPENDED and values.get("status") == RuleStatus.PAUSED:
            values["status"] = rule.status  # as it was exported: it stays suspended
        self._store(rule, values, promised=lacking)

    def _store(
        self,
        row: TenantModel,
        values: dict[str, Any],
        *,
        also: bool = False,
        promised: list[str] | None = None,
    ) -> None:
        """Write a row if it is new or differs; `also` says that something of it will."""
        is_new = row.pk is None
        differs = [name for name, value in values.items() if getattr(row, name, None) != value]
        if not is_new and not differs:
            self._note(self.outcome.changed if also else self.outcome.left, row)
            return
        for name in differs:
            setattr(row, name, values[name])
        row.organization_id = current_organization() or 0
        if isinstance(row, CallbackRule):
            _check_shape(row)  # first: Django's own checks expect the right types
        row.full_clean(exclude=["organization"], validate_constraints=False)
        row.validate_constraints()
        if isinstance(row, CallbackRule):
            saving.save(row, by=self.by, promised=promised or [])
        else:
            row.save()
        self._note(self.outcome.created if is_new else self.outcome.changed, row)

    def _note(self, where: dict[str, list[str]], row: models.Model) -> None:
        where.setdefault(_KINDS[type(row)], []).append(str(row))


_AMOUNTS = ("least_revenue", "most_revenue")
_KINDS: dict[type[models.Model], str] = {
    Organization: "organization",
    App: "apps",
    Partner: "partners",
    Campaign: "campaigns",
    TrackingLink: "tracking_links",
    AttributionSettings: "attribution_settings",
    CallbackRule: "callback_rules",
}


def _find_active(model: type[App] | type[Partner], name: object, role: str) -> Any:
    rows: models.Manager[Any] = model.objects
    row = rows.filter(name=str(name), status=Lifecycle.ACTIVE).first()
    if row is None:
        raise ValidationError({role: f"There is no {role} “{name}” here or in the document."})
    return row


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


def _problems(error: ValidationError, place: Pointer) -> list[ImportProblem]:
    if not hasattr(error, "error_dict"):
        return [ImportProblem(place, message) for message in error.messages]
    return [
        ImportProblem(place if name == "__all__" else (*place, name), message)
        for name, messages in error.message_dict.items()
        for message in messages
    ]
