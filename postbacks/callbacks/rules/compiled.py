"""④ Loads rules' versions for workers, each parsed and compiled once per process.

A tenant's rules may be large. What a process keeps of them, and what it loads at once, is bounded
in bytes, so that a worker's memory is.
"""

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from threading import Lock
from typing import Any, Final, Generic, TypeVar

import msgspec

from apps_registry.crypto.encryption import SecretUnreadableError
from apps_registry.models.partners import open_credential
from apps_registry.tenancy import Lifecycle
from postbacks.callbacks.macros import CompiledRequest, TemplateError, compile_request
from postbacks.callbacks.rules.conditions import Conditions, compile_conditions
from postbacks.callbacks.rules.definition import RuleDefinition
from postbacks.infrastructure.database import prepared
from postbacks.infrastructure.database.prepared import load_sql
from postbacks.models import RuleStatus

logger = logging.getLogger(__name__)

RuleVersion = tuple[int, int]  # rule id, number of the version
UNSAVED = 0  # the rule id of a definition that is only checked or previewed

_marked_at: dict["RuleVersion", float] = {}  # rules that were marked as expensive, and when
_KEPT_VERSIONS: Final = 64 * 1024 * 1024  # bytes of memory
_KEPT_REQUESTS: Final = 36 * 1024 * 1024
_LOADED_TOGETHER: Final = 2 * 1024 * 1024  # bytes of definitions, beyond one organization's
_BYTES_IN_MEMORY: Final = 4  # of each byte that a rule counts, its conditions compiled
_BYTES_OF_REQUEST: Final = 52  # ... of each character of a template, compiled
_BYTES_AT_LEAST: Final = 1_024

_RULES = """
SELECT r.organization_id, r.id AS rule_id, v.number, r.version AS current_version, r.status,
       v.definition::text AS definition
FROM callback_rule AS r
JOIN callback_rule_version AS v ON v.organization_id = r.organization_id AND v.rule_id = r.id"""

_LOAD_DECIDING = load_sql("postbacks.callbacks", "load_deciding_rules")

_DECIDING = [RuleStatus.ACTIVE.value, RuleStatus.SUSPENDED.value]

_LOAD_VERSIONS = f"""{_RULES}
JOIN unnest(%(rules)s::bigint[], %(numbers)s::integer[]) AS named (rule_id, number)
  ON named.rule_id = v.rule_id AND v.number IN (named.number, r.version)
ORDER BY r.id
"""

_LOAD_RENDERING = load_sql("postbacks.callbacks", "load_rendering_rules")

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


T = TypeVar("T")


class _WeightedCache(Generic[T]):
    """Keeps what was used last, up to so many bytes of memory. Threads may share it."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._kept: OrderedDict[Hashable, tuple[T, int]] = OrderedDict()
        self._weight = 0
        self._lock = Lock()

    def get_or_make(self, key: Hashable, make: Callable[[], tuple[T, int]]) -> T:
        """Return what is kept, else what `make` returns beside its weight."""
        with self._lock:
            if (kept := self._kept.get(key)) is not None:
                self._kept.move_to_end(key)
                return kept[0]
        made, weight = make()
        with self._lock:
            if key not in self._kept:  # another thread may have been quicker
                self._kept[key] = made, weight
                self._weight += weight
            while self._weight > self._capacity:
                _, (_, dropped) = self._kept.popitem(last=False)
                self._weight -= dropped
        return made


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
    parsed: "ParsedVersion | None" = field(default=None, repr=False)  # None of one that is unsaved

    @cached_property
    def is_on(self) -> bool:
        return self.status == RuleStatus.ACTIVE and not self.is_archived

    @cached_property
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

        def compiled() -> tuple[CompiledRequest, int]:
            template = self.definition.template
            request = compile_request(template, credential_names=names, allowed_hosts=hosts)
            return request, _BYTES_AT_LEAST + _BYTES_OF_REQUEST * template.length

        if self.rule_id == UNSAVED:
            return compiled()[0]
        return _requests.get_or_make((self.rule_id, self.version, names, hosts), compiled)

    @property
    def has_secret_host(self) -> bool:
        """Whether requests go to a host that is a credential. Raises TemplateError."""
        return self.request.url.host_index is not None

    @cached_property
    def lane(self) -> str:
        """The host and port that this version's requests go to, a credential's host included.

        Whatever queues a postback asks here. It is "" where the template or the credential can't
        be read: sending it says what is wrong.
        """
        try:
            return self.request.lane(self.credentials if self.has_secret_host else {})
        except (TemplateError, SecretUnreadableError):
            return ""

    @cached_property
    def conditions(self) -> Conditions:
        """The compiled conditions. Raises TemplateError if one is no longer valid."""
        if self.parsed is None:
            return compile_conditions(self.definition.conditions, is_stored=True)
        return self.parsed.conditions

    @cached_property
    def credentials(self) -> Mapping[str, str]:
        """The partner's credentials, if the template names any."""
        if self.partner is None or not self.request.has_secrets:
            return {}
        return self.partner.open()


class DecidingRules:
    """Each organization's active and suspended rules, loaded a few megabytes at a time.

    Organizations are asked for in the order of their ids. A suspended rule decides events like an
    active one; its postbacks are held.
    """

    def __init__(self, organizations: Iterable[int]) -> None:
        self._left = sorted(set(organizations))
        self._rules: dict[int, list[CompiledRule]] = {}

    def of(self, organization_id: int) -> list[CompiledRule]:
        while organization_id not in self._rules and organization_id in self._left:
            self._load()
        return self._rules.get(organization_id, [])

    def _load(self) -> None:
        """Load the rules of the next organizations, and let go of those before."""
        rows = prepared.fetch(
            _VersionRow,
            _LOAD_DECIDING,
            {
                "organizations": self._left,
                "statuses": _DECIDING,
                "most": _LOADED_TOGETHER,
            },
        )
        cut = {row.organization_id for row in rows if row.definition is None}
        self._rules = {each: [] for each in self._left if each not in cut}
        self._left = sorted(cut)
        for rule in _rules_of([row for row in rows if row.definition is not None]):
            if not rule.is_archived:
                self._rules[rule.organization_id].append(rule)
                with suppress(TemplateError):  # deciding says so
                    _ = rule.conditions  # here: no event is charged for reading long lists


@dataclass(frozen=True)
class ParsedVersion:
    """A stored version, which never changes: parsed once, its conditions compiled once."""

    definition: RuleDefinition

    @classmethod
    def weighed(cls, text: str) -> "tuple[ParsedVersion, int]":
        """Return a version and about the bytes of memory that it takes."""
        definition = msgspec.json.decode(text, type=RuleDefinition)
        return cls(definition), _BYTES_AT_LEAST + _BYTES_IN_MEMORY * definition.counted_bytes

    @cached_property
    def conditions(self) -> Conditions:
        """The compiled conditions. Raises TemplateError if one is no longer valid."""
        return compile_conditions(self.definition.conditions, is_stored=True)


def load_rule_versions(versions: Iterable[RuleVersion]) -> dict[RuleVersion, CompiledRule]:
    """Return rules by version; one that can't be read is missing.

    The current version of each named rule is among them, read in the same statement.
    """
    pairs = sorted(set(versions))
    rows = prepared.fetch(
        _VersionRow,
        _LOAD_VERSIONS,
        {"rules": [rule for rule, _ in pairs], "numbers": [number for _, number in pairs]},
    )
    rules = _rules_of(rows)
    return {(rule.rule_id, rule.version): rule for rule in rules}


@dataclass(frozen=True, slots=True)
class RenderingRules:
    """What a batch of postbacks is rendered by; a version that can't be read is missing.

    `partners` are those of the versions that decided them. What is `beyond` would have taken too
    much memory together with the others.
    """

    rules: Mapping[RuleVersion, CompiledRule]
    partners: Mapping[RuleVersion, int | None]
    beyond: AbstractSet[RuleVersion]
    current: Mapping[int, int]  # version of each rule


def load_rendering_rules(versions: Iterable[tuple[int, int, bool]]) -> RenderingRules:
    """Return the rules of postbacks, by rule, the version that decided, and whether it is pinned.

    A rule renders by its current version, unless that of a postback is pinned.
    """
    named = sorted(set(versions))
    rows = prepared.fetch(
        _RenderingRow,
        _LOAD_RENDERING,
        {
            "rules": [rule for rule, _, _ in named],
            "numbers": [number for _, number, _ in named],
            "pinned": [is_pinned for _, _, is_pinned in named],
            "most": _LOADED_TOGETHER,
        },
    )
    return RenderingRules(
        rules={(rule.rule_id, rule.version): rule for rule in _rules_of(rows)},
        partners={(row.rule_id, row.number): row.partner_id for row in rows},
        beyond={
            (row.rule_id, row.number) for row in rows if row.is_rendered and row.definition is None
        },
        current={row.rule_id: row.current_version for row in rows},
    )


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
    definition: str | None  # None: too much for this load


@dataclass(slots=True)
class _RenderingRow(_VersionRow):
    partner_id: int | None
    is_rendered: bool


def _rules_of(rows: Iterable[_VersionRow]) -> list[CompiledRule]:
    versions = [
        (row, parsed)
        for row in rows
        if row.definition and (parsed := _parse_or_log(row.rule_id, row.number, row.definition))
    ]
    partners = _load_partners(
        {
            parsed.definition.partner_id
            for _, parsed in versions
            if parsed.definition.partner_id is not None
        }
    )
    return [
        CompiledRule(
            organization_id=row.organization_id,
            rule_id=row.rule_id,
            version=row.number,
            status=row.status,
            current_version=row.current_version,
            definition=parsed.definition,
            partner=partners.get((row.organization_id, parsed.definition.partner_id)),
            parsed=parsed,
        )
        for row, parsed in versions
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


def _parse_or_log(rule_id: int, number: int, definition: str) -> ParsedVersion | None:
    """Parse a version; one that can't be read is left out and never fails the others."""
    try:
        return _versions.get_or_make(
            (rule_id, number, definition), lambda: ParsedVersion.weighed(definition)
        )
    except msgspec.MsgspecError:
        logger.exception("Version %d of rule %d can't be read", number, rule_id)
        return None


_versions = _WeightedCache[ParsedVersion](_KEPT_VERSIONS)
_requests = _WeightedCache[CompiledRequest](_KEPT_REQUESTS)
