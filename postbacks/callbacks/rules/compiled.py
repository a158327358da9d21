"""④ Loads rules' versions for workers, each parsed and compiled once per process."""

import logging
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

import msgspec

from apps_registry.crypto.encryption import SecretUnreadableError
from apps_registry.models.partners import open_credential
from apps_registry.tenancy import Lifecycle
from postbacks.callbacks.macros import CompiledRequest, TemplateError, compile_request
from postbacks.callbacks.rules.conditions import Conditions, compile_conditions
from postbacks.callbacks.rules.definition import RuleDefinition
from postbacks.infrastructure.database import prepared
from postbacks.models import RuleStatus

logger = logging.getLogger(__name__)

RuleVersion = tuple[int, int]  # rule id, number of the version
UNSAVED = 0  # the rule id of a definition that is only checked or previewed

# Rule id, version, the names of the partner's credentials, and the hosts that may get them.
_RequestKey = tuple[int, int, frozenset[str], frozenset[str]]
_compiled: dict[_RequestKey, CompiledRequest] = {}
_marked_at: dict["RuleVersion", float] = {}  # rules that were marked as expensive, and when
_MOST_COMPILED = 4096

_RULES = """
SELECT r.organization_id, r.id AS rule_id, v.number, r.version AS current_version, r.status,
       v.definition::text AS definition
FROM callback_rule AS r
JOIN callback_rule_version AS v ON v.organization_id = r.organization_id AND v.rule_id = r.id"""

_LOAD_DECIDING = f"""{_RULES}
WHERE r.organization_id = ANY(%(organizations)s::bigint[]) AND r.status = ANY(%(statuses)s::text[])
  AND v.number = r.version
ORDER BY r.id
"""

_DECIDING = [RuleStatus.ACTIVE.value, RuleStatus.SUSPENDED.value]

_LOAD_VERSIONS = f"""{_RULES}
JOIN unnest(%(rules)s::bigint[], %(numbers)s::integer[]) AS named (rule_id, number)
  ON named.rule_id = v.rule_id AND v.number IN (named.number, r.version)
ORDER BY r.id
"""

_MARK_EXPENSIVE = """
UPDATE callback_rule SET expensive_version = marked.version, expensive_at = now(),
    expensive_ms = marked.milliseconds
FROM unnest(%(rules)s::bigint[], %(versions)s::integer[], %(milliseconds)s::integer[])
    AS marked (rule_id, version, milliseconds)
WHERE callback_rule.id = marked.rule_id AND callback_rule.version = marked.version
"""

_MARK_AGAIN_SECONDS = 60.0
_MOST_MARKED = 10_000

_LOAD_PARTNERS = """
SELECT p.organization_id, p.id, p.public_id::text, p.name, p.status, p.allowed_hosts,
       coalesce(jsonb_object_agg(c.name, c.sealed) FILTER (WHERE c.name IS NOT NULL), '{}')::text
           AS sealed
FROM partner AS p
LEFT JOIN partner_credential AS c ON c.organization_id = p.organization_id AND c.partner_id = p.id
WHERE p.id = ANY(%(ids)s::bigint[])
GROUP BY p.organization_id, p.id
"""


@dataclass(frozen=True, slots=True)
class PartnerSecrets:
    """A partner's sealed credentials and the hosts that may get them."""

    organization_id: int
    id: int
    public_id: str
    name: str
    status: str
    allowed_hosts: frozenset[str]
    sealed: Mapping[str, str] = field(repr=False)

    def open(self) -> dict[str, str]:
        return {
            name: open_credential(self.organization_id, self.id, name, sealed)
            for name, sealed in self.sealed.items()
        }


@dataclass(frozen=True)
class CompiledRule:
    """One version of a rule, with the rule's current status and its partner as it is now."""

    organization_id: int
    rule_id: int
    version: int
    status: str
    definition: RuleDefinition
    partner: PartnerSecrets | None
    current_version: int = UNSAVED  # of its rule

    @property
    def is_on(self) -> bool:
        return self.status == RuleStatus.ACTIVE and not self.is_archived

    @property
    def is_archived(self) -> bool:
        """Whether the rule or its partner is archived."""
        return self.status == RuleStatus.ARCHIVED or (
            self.partner is not None and self.partner.status == Lifecycle.ARCHIVED
        )

    @cached_property
    def request(self) -> CompiledRequest:
        """The compiled template. Raises TemplateError if it is no longer valid."""
        names = frozenset(self.partner.sealed) if self.partner else frozenset()
        hosts = self.partner.allowed_hosts if self.partner else frozenset()
        return _compile((self.rule_id, self.version, names, hosts), self.definition)

    @cached_property
    def lane(self) -> str:
        """The host and port that this version's requests go to, a credential's host included.

        Whatever queues a postback asks here. It is "" where the template or the credential can't
        be read: sending it says what is wrong.
        """
        try:
            is_credential = self.request.url.host_index is not None
            return self.request.lane(self.credentials if is_credential else {})
        except (TemplateError, SecretUnreadableError):
            return ""

    @cached_property
    def conditions(self) -> Conditions:
        """The compiled conditions. Raises TemplateError if one is no longer valid."""
        if self.rule_id == UNSAVED:
            return compile_conditions(self.definition.conditions, is_stored=True)
        return _conditions(
            self.rule_id, self.version, msgspec.json.encode(self.definition.conditions)
        )

    @cached_property
    def credentials(self) -> Mapping[str, str]:
        """The partner's credentials, if the template names any."""
        if self.partner is None or not self.request.has_secrets:
            return {}
        return self.partner.open()


def load_deciding_rules(organizations: Iterable[int]) -> dict[int, list[CompiledRule]]:
    """Return each organization's active and suspended rules.

    A suspended rule decides events like an active one; its postbacks are held.
    """
    rules = _load(
        _LOAD_DECIDING, {"organizations": sorted(set(organizations)), "statuses": _DECIDING}
    )
    deciding: dict[int, list[CompiledRule]] = {}
    for rule in rules:
        if not rule.is_archived:
            deciding.setdefault(rule.organization_id, []).append(rule)
    return deciding


def load_rule_versions(versions: Iterable[RuleVersion]) -> dict[RuleVersion, CompiledRule]:
    """Return rules by version; one that can't be read is missing.

    The current version of each named rule is among them, read in the same statement.
    """
    pairs = sorted(set(versions))
    rules = _load(
        _LOAD_VERSIONS,
        {"rules": [rule for rule, _ in pairs], "numbers": [number for _, number in pairs]},
    )
    return {(rule.rule_id, rule.version): rule for rule in rules}


def mark_expensive(rules: Mapping[RuleVersion, float]) -> None:
    """Note on rules that their conditions took so many seconds for one event, once a minute."""
    now = time.monotonic()
    new = {
        rule: seconds
        for rule, seconds in rules.items()
        if now - _marked_at.get(rule, -_MARK_AGAIN_SECONDS) >= _MARK_AGAIN_SECONDS
    }
    if not new:
        return
    if len(_marked_at) > _MOST_MARKED:
        _marked_at.clear()
    _marked_at.update(dict.fromkeys(new, now))
    prepared.run(
        _MARK_EXPENSIVE,
        {
            "rules": [rule_id for rule_id, _ in new],
            "versions": [version for _, version in new],
            "milliseconds": [round(seconds * 1000) for seconds in new.values()],
        },
    )


@dataclass(slots=True)
class _VersionRow:
    organization_id: int
    rule_id: int
    number: int
    current_version: int
    status: str
    definition: str


def _load(statement: str, parameters: Mapping[str, object]) -> list[CompiledRule]:
    rows = prepared.fetch(_VersionRow, statement, parameters)
    versions = [
        (row, definition)
        for row in rows
        if (definition := _parse_or_log(row.rule_id, row.number, row.definition))
    ]
    partners = _load_partners(
        {definition.partner_id for _, definition in versions if definition.partner_id is not None}
    )
    return [
        CompiledRule(
            organization_id=row.organization_id,
            rule_id=row.rule_id,
            version=row.number,
            status=row.status,
            current_version=row.current_version,
            definition=definition,
            partner=partners.get((row.organization_id, definition.partner_id)),
        )
        for row, definition in versions
    ]


def _load_partners(ids: set[int]) -> dict[tuple[int, int | None], PartnerSecrets]:
    if not ids:
        return {}
    partners = prepared.fetch(_partner_secrets, _LOAD_PARTNERS, {"ids": list(ids)})
    return {(partner.organization_id, partner.id): partner for partner in partners}


def _partner_secrets(*, allowed_hosts: list[str], sealed: str, **columns: Any) -> PartnerSecrets:
    return PartnerSecrets(
        **columns, allowed_hosts=frozenset(allowed_hosts), sealed=msgspec.json.decode(sealed)
    )


def _parse_or_log(rule_id: int, number: int, definition: str) -> RuleDefinition | None:
    """Parse a version; one that can't be read is left out and never fails the others."""
    try:
        return _parse(rule_id, number, definition)
    except msgspec.MsgspecError:
        logger.exception("Version %d of rule %d can't be read", number, rule_id)
        return None


# A version never changes, so its parsed and compiled forms never expire.
@lru_cache(maxsize=4096)
def _parse(rule_id: int, number: int, definition: str) -> RuleDefinition:
    return msgspec.json.decode(definition, type=RuleDefinition)


@lru_cache(maxsize=4096)
def _conditions(rule_id: int, number: int, conditions: bytes) -> Conditions:
    return compile_conditions(msgspec.json.decode(conditions), is_stored=True)


def _compile(key: _RequestKey, definition: RuleDefinition) -> CompiledRequest:
    if key not in _compiled:
        rule_id, _, names, hosts = key
        compiled = compile_request(definition.template, credential_names=names, allowed_hosts=hosts)
        if rule_id == UNSAVED:
            return compiled
        if len(_compiled) >= _MOST_COMPILED:
            _compiled.clear()
        _compiled[key] = compiled
    return _compiled[key]
