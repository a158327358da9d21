"""⑤ Loads the credits of installs, by the version that each postback remembers."""

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from postbacks.infrastructure.database import prepared
from postbacks.values.attribution import NOT_CREDITED, AttributionFacts

CreditVersion = tuple[int, int]  # install id, version of its credit


@dataclass(frozen=True, slots=True)
class KnownCredit:
    """One version of an install's credit, and the event that began the install."""

    facts: AttributionFacts = NOT_CREDITED
    event_ref: int | None = None


_LOAD = """
SELECT i.id AS install_id, named.version, i.event_ref, a.facts::text AS facts
FROM unnest(%(installs)s::bigint[], %(versions)s::integer[]) AS named (install_id, version)
JOIN install AS i ON i.id = named.install_id
LEFT JOIN attribution AS a ON a.organization_id = i.organization_id AND a.install_id = i.id
    AND a.version = named.version
"""

_facts = msgspec.json.Decoder(AttributionFacts)


def load_credit_versions(versions: Iterable[CreditVersion]) -> dict[CreditVersion, KnownCredit]:
    pairs = sorted(set(versions))
    if not pairs:
        return {}
    installs, numbers = zip(*pairs, strict=True)
    parameters = {"installs": list(installs), "versions": list(numbers)}
    return dict(prepared.fetch(_credit_by_version, _LOAD, parameters))


def _credit_by_version(
    *, install_id: int, version: int, event_ref: int | None, facts: str | None
) -> tuple[CreditVersion, KnownCredit]:
    attribution = _facts.decode(facts) if facts else NOT_CREDITED
    return (install_id, version), KnownCredit(attribution, event_ref)
