"""⑥ Writes postbacks, and queues those that are to be sent."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from postbacks.infrastructure.database import prepared
from postbacks.infrastructure.database.prepared import load_sql
from postbacks.models import PostbackStatus


@dataclass(frozen=True, slots=True)
class NewPostback:
    """A postback to be written. With a `reason` it is skipped, otherwise due after a delay."""

    public_id: str
    organization_id: int
    rule_id: int
    rule_version: int
    app_id: int
    event_id: int
    sdk_event_id: str
    event_name: str
    event_received_at: datetime
    install_id: int | None
    attribution_version: int
    installed_at: datetime | None
    delay_seconds: int
    host: str
    reason: str
    paced: bool = False  # the rule limits how fast it sends


_ENQUEUE = load_sql("postbacks.delivery", "enqueue_postbacks", PostbackStatus)


def enqueue_postbacks(postbacks: Sequence[NewPostback]) -> int:
    """Write postbacks and return how many were new: an event decided twice adds none."""
    if not postbacks:
        return 0
    ((added,),) = prepared.run(_ENQUEUE, {"rows": msgspec.json.encode(postbacks).decode()})
    return int(added)
