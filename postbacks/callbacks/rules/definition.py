"""What a rule says, as its versions keep it: plain data that matching and rendering read."""

from typing import Any, Literal

import msgspec
from msgspec import Struct, field

from postbacks.callbacks.macros import BodyType, MissingValues, RequestTemplate


class RuleDefinition(Struct, frozen=True, kw_only=True):
    """One version of a rule. Ids are the registry's own; `partner_id` names the credentials.

    What has a default here is missing in versions from before there was such a field.
    """

    name: str
    app_id: int | None
    partner_id: int | None
    triggers: tuple[str, ...]
    frequency: Literal["every", "first"]
    attribution_scope: Literal["everyone", "partner", "partner_and_organic", "any_attributed"]
    conditions: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: {"all": []})
    event_map: dict[str, str]
    window_days: int | None
    sampling_percent: int
    delay_seconds: int
    send_revenue: bool
    without_consent: Literal["send", "strip", "skip"]
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
        """Tell whether the rule limits how fast it sends."""
        return self.rate_limit_per_second is not None or self.max_in_flight is not None

    @property
    def request_text(self) -> bytes:
        """Return all that makes the request and judges its answer, as one text.

        Where two definitions have the same, a successful test of one proves the other.
        """
        return msgspec.json.encode([getattr(self, name) for name in _MAKES_THE_REQUEST])

    @property
    def template(self) -> RequestTemplate:
        """Return the part that is rendered."""
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
_MAKES_THE_REQUEST = (
    "partner_id", "event_map", "send_revenue", "without_consent", "method", "url", "headers",
    "body_type", "body", "missing_values", "authentication", "sign", "success", "timeout_seconds",
)  # fmt: skip
