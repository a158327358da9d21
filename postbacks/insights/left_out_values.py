"""What a link's clicks carry in place of values: macros that the network never filled, and words.

Intake leaves them out and keeps them beside the click (`LEFT_OUT` of its parameters).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db.models import JSONField
from django.db.models.fields.json import KeyTransform

from apps_registry.models import TrackingLink
from postbacks.models import Touchpoint
from postbacks.values.placeholders import why_no_id, why_shortened
from postbacks.values.touchpoints import LEFT_OUT

_SINCE = timedelta(days=7)
_NEWEST = 1_000  # touchpoints of the campaign that are read
_MOST_SHOWN = 20


@dataclass(frozen=True, slots=True)
class LeftOutValue:
    """A value that a parameter had in place of one, how often, and when last."""

    parameter: str
    value: str
    count: int
    last_at: datetime

    @property
    def reason(self) -> str:
        return why_no_id(self.value) or why_shortened(self.value)


def left_out_values(link: TrackingLink) -> Sequence[LeftOutValue]:
    """Return what was left out of a link's newest touchpoints, the most frequent first.

    Read by the campaign's index; what a link was corrected for is gone with its next touchpoints.
    """
    counts: dict[tuple[str, str], int] = {}
    last: dict[tuple[str, str], datetime] = {}
    for link_id, received_at, left_out in _newest(link):
        if link_id != link.pk or not isinstance(left_out, dict):
            continue
        for key in left_out.items():
            counts[key] = counts.get(key, 0) + 1
            last.setdefault(key, received_at)
    values = [LeftOutValue(*key, count, last[key]) for key, count in counts.items()]
    values.sort(key=lambda value: (-value.count, value.parameter, value.value))
    return values[:_MOST_SHOWN]


def _newest(link: TrackingLink) -> list[tuple[int | None, datetime, object]]:
    rows = Touchpoint.objects.filter(
        campaign_id=link.campaign_id, received_at__gte=datetime.now(UTC) - _SINCE
    )
    left_out = KeyTransform(LEFT_OUT, "params", output_field=JSONField())
    ordered = rows.order_by("-received_at")[:_NEWEST]
    return list(ordered.values_list("link_id", "received_at", left_out))
