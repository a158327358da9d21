"""Says what waits for a circuit breaker or a rule, for pages and the API."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from apps_registry.models import Partner
from postbacks.callbacks.rules.compiled import RuleVersion, load_rule_versions
from postbacks.delivery.holding import held_reason
from postbacks.insights import wording
from postbacks.models import (
    BreakerState,
    CallbackRule,
    CircuitBreaker,
    DuePostback,
    Postback,
    PostbackStatus,
    RuleStatus,
    SkipReason,
)
from postbacks.values.outgoing_request import MASK

BREAKER_OPEN = "breaker_open"  # the reason of a postback that waits for one


@dataclass(frozen=True, slots=True)
class OpenBreaker:
    """The circuit breaker of a host and port that is not asked now. `reason` is a code.

    A host that is a credential is masked, and its port is None.
    """

    host: str
    port: int | None
    state: str
    reason: str
    since: datetime | None
    next_probe_at: datetime | None

    @property
    def words(self) -> str:
        """The host and port as a page says them."""
        if self.port is None:
            return "The host that is a credential"
        return f"{self.host}, port {self.port},"

    @property
    def reason_words(self) -> str:
        """The last failure as a page says it."""
        return wording.lower_first(wording.answer(self.reason))


def breakers_of_rules(rules: Collection[CallbackRule]) -> dict[int, list[OpenBreaker]]:
    """Return the open breakers in the way of rules that are on, by the rules' row ids.

    What a rule that is off has decided waits for the rule, whatever its partner answers.
    """
    active = [rule for rule in rules if rule.status == RuleStatus.ACTIVE]
    breakers = _open_breakers() if active else {}
    if not breakers:
        return {}
    hosts = _hosts_of((rule.pk, rule.version) for rule in active)
    return {rule.pk: _shown(hosts[rule.pk], breakers) for rule in active}


def breakers_of_partners(partners: Collection[Partner]) -> dict[int, list[OpenBreaker]]:
    """Return the open breakers in the way of partners' rules that are on, by partners' row ids."""
    breakers = _open_breakers() if partners else {}
    if not breakers:
        return {}
    rules = list(
        CallbackRule.objects.filter(
            partner_id__in=[partner.pk for partner in partners], status=RuleStatus.ACTIVE
        ).values_list("partner_id", "id", "version")
    )
    hosts = _hosts_of((rule_id, version) for _, rule_id, version in rules)
    of_partners: dict[int, set[_Host]] = {}
    for partner_id, rule_id, _ in rules:
        of_partners.setdefault(partner_id, set()).update(hosts[rule_id])
    return {
        partner_id: _shown(sorted(named), breakers) for partner_id, named in of_partners.items()
    }


def mark_waiting(postbacks: Iterable[Postback]) -> None:
    """Give pending postbacks that nothing sends now the reason of now, which is not stored.

    A rule that is off has not held all of its postbacks yet; what waits for an open breaker has
    the reason `breaker_open`. Every list and page asks here, so that all say the same.
    """
    pending: dict[int, Postback] = {}
    for each in postbacks:
        if each.status == PostbackStatus.PENDING and not each.reason:
            each.reason = _reason_of_rule(RuleStatus(each.rule.status))
            if not each.reason:
                pending[each.pk] = each
    breakers = _open_breakers() if pending else {}
    if not breakers:
        return
    due = DuePostback.objects.filter(pk__in=pending, host__in=breakers, claim_id=None)
    for postback_id in due.values_list("pk", flat=True):
        pending[postback_id].reason = BREAKER_OPEN


def _reason_of_rule(status: RuleStatus) -> str:
    """Return why a rule of this status sends nothing; empty if it sends."""
    if status == RuleStatus.ARCHIVED:
        return SkipReason.RULE_ARCHIVED.value
    reason = held_reason(status)
    return reason.value if reason else ""


def _open_breakers() -> dict[str, OpenBreaker]:
    """Return the current organization's open breakers by host and port."""
    return {
        row.host: _opened(row) for row in CircuitBreaker.objects.exclude(state=BreakerState.CLOSED)
    }


def _opened(row: CircuitBreaker) -> OpenBreaker:
    host, _, port = row.host.rpartition(":")
    return OpenBreaker(
        host=host,
        port=int(port),
        state=row.state,
        reason=row.reason,
        since=row.opened_at,
        next_probe_at=row.next_probe_at,
    )


_Host = tuple[str, bool]  # and port, and whether it is a credential


def _shown(hosts: Iterable[_Host], breakers: Mapping[str, OpenBreaker]) -> list[OpenBreaker]:
    return [
        replace(breakers[host], host=MASK, port=None) if is_secret else breakers[host]
        for host, is_secret in hosts
        if host in breakers
    ]


def _hosts_of(versions: Iterable[RuleVersion]) -> dict[int, list[_Host]]:
    """Return the hosts and ports that rules' versions send to, by the rules' row ids."""
    named = list(versions)
    rules = load_rule_versions(named)
    return {
        rule_id: [(rule.lane, rule.has_secret_host)]
        if (rule := rules.get((rule_id, version))) and rule.lane
        else []
        for rule_id, version in named
    }
