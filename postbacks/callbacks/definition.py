"""What a rule says, as its versions keep it: plain data that matching and rendering read."""

from typing import Literal

from msgspec import Struct

from postbacks.callbacks.macros import BodyType, MissingValues, RequestTemplate


class RuleDefinition(Struct, frozen=True, kw_only=True):
    """One version of a rule. Ids are the registry's own; `partner_id` names the credentials."""

    name: str
    app_id: int | None
    partner_id: int | None
    triggers: tuple[str, ...]
    frequency: Literal["every", "first"]
    attribution_scope: Literal["everyone", "partner", "partner_and_organic", "any_attributed"]
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
    success: dict[str, object]
    timeout_seconds: int
    retry_delays: tuple[int, ...]

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
        )


FIELDS = RuleDefinition.__struct_fields__
