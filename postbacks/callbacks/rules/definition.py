"""④ A rule's definition as its versions store it: plain data for matching and rendering."""

from typing import Any, Final

import msgspec
from msgspec import Struct, field

from postbacks.callbacks.macros import RequestTemplate
from postbacks.values.rule_choices import (
    AttributionScope,
    BodyType,
    Frequency,
    MissingValues,
    WithoutConsent,
)

VALUE_BYTES: Final = 40  # that each value of a list takes in memory, however short it is
MOST_TRIGGERS: Final = 1_000
MOST_MAPPED: Final = 1_000


class RuleDefinition(Struct, frozen=True, kw_only=True):
    """One version of a rule, with the registry's internal ids.

    A field with a default is newer than some stored versions, which lack it.
    """

    name: str
    app_id: int | None
    partner_id: int | None
    triggers: tuple[str, ...]
    frequency: Frequency
    attribution_scope: AttributionScope
    conditions: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: {"all": []})
    event_map: dict[str, str]
    window_days: int | None
    sampling_percent: int
    delay_seconds: int
    send_revenue: bool
    without_consent: WithoutConsent
    method: str
    url: str
    headers: dict[str, str]
    body_type: BodyType
    body: str
    missing_values: MissingValues
    authentication: dict[str, str] = field(default_factory=lambda: {"type": "none"})
    sign: bool = False
    success: dict[str, object]
    timeout_seconds: int
    retry_delays: tuple[int, ...]
    rate_limit_per_second: int | None = None
    max_in_flight: int | None = None

    @property
    def is_paced(self) -> bool:
        return self.rate_limit_per_second is not None or self.max_in_flight is not None

    @property
    def request_text(self) -> bytes:
        """Return everything that makes the request and judges its answer, as one text.

        A successful test of one definition proves every other with the same text. Objects have no
        order: PostgreSQL keeps none.
        """
        parts = [getattr(self, name) for name in _REQUEST_FIELDS]
        return msgspec.json.encode(parts, order="deterministic")

    @property
    def queued_as(self) -> tuple[str, int | None, bool]:
        """Return all of the definition that says in which lane, and how, postbacks are queued."""
        scheme, _, rest = self.url.partition("://")
        authority = rest.partition("/")[0].partition("?")[0]
        return f"{scheme}://{authority}".lower(), self.partner_id, self.is_paced

    @property
    def counted_bytes(self) -> int:
        """Return its bytes as JSON, and `VALUE_BYTES` for each value of its conditions' lists."""
        lists = [line.get("value") for lines in self.conditions.values() for line in lines]
        values = sum(map(_count_of_values, lists))
        return len(msgspec.json.encode(self)) + VALUE_BYTES * values

    @property
    def template(self) -> RequestTemplate:
        return RequestTemplate(
            method=self.method,
            url=self.url,
            headers=self.headers,
            body_type=self.body_type,
            body=self.body,
            missing_values=self.missing_values,
            authentication=self.authentication,
        )


FIELDS = RuleDefinition.__struct_fields__
# What a rule says, its name and whom it belongs to aside: rows, the API and files name these alike.
CONTENT_FIELDS = tuple(name for name in FIELDS if name not in {"name", "app_id", "partner_id"})
_REQUEST_FIELDS = (
    "partner_id",
    "event_map",
    "send_revenue",
    "without_consent",
    "method",
    "url",
    "headers",
    "body_type",
    "body",
    "missing_values",
    "authentication",
    "sign",
    "success",
    "timeout_seconds",
)


def _count_of_values(value: object) -> int:
    if isinstance(value, str):
        return value.count(",")
    return len(value) if isinstance(value, list | tuple) else 0
