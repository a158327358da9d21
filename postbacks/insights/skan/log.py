"""The log of copies of Apple's postbacks: what can be searched, and one page of the result."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet

from postbacks.insights.keyset import Cursor, KeysetList, KeysetPage
from postbacks.insights.logs import TimeRange
from postbacks.models import SkanPostback


@dataclass(frozen=True, slots=True)
class SkanCopySearch:
    """A search of the copies. `id` is a copy's own or Apple's id of the transaction.

    `campaign` is a network's number of a campaign: source identifier or campaign id.
    """

    span: TimeRange
    id: UUID | None = None
    app_id: int | None = None
    partner_id: int | None = None
    network_id: str = ""
    campaign: str = ""
    protocol: str = ""
    signature_state: str = ""
    sequence: int | None = None
    did_win: bool | None = None
    duplicate: bool | None = None
    event_name: str = ""

    @property
    def conditions(self) -> list[Q]:
        """Return all conditions except the time."""
        equal: dict[str, object] = {
            "app_id": self.app_id,
            "partner_id": self.partner_id,
            "network_id__iexact": self.network_id,
            "protocol": self.protocol,
            "signature_state": self.signature_state,
            "sequence": self.sequence,
            "did_win": self.did_win,
            "event_name": self.event_name,
        }
        conditions = [
            Q(**{name: value}) for name, value in equal.items() if value not in (None, "")
        ]
        if self.id:
            conditions.append(Q(public_id=self.id) | Q(transaction_id__iexact=str(self.id)))
        if self.campaign:
            conditions.append(Q(source_identifier=self.campaign) | Q(campaign_id=self.campaign))
        if self.duplicate is not None:
            conditions.append(Q(duplicate_of__isnull=not self.duplicate))
        return conditions

    def rows(self, span: TimeRange | None = None) -> "QuerySet[Any]":
        """Return the matching copies; `span` replaces the time that is searched."""
        within = (span or self.span).within(SkanPostback.objects.all(), "received_at")
        return within.filter(*self.conditions)


def skan_copy_log(search: SkanCopySearch, cursor: Cursor) -> KeysetPage[SkanPostback]:
    """Return a page of copies, newest first, with their apps and partners."""
    searched = search.span.within(SkanPostback.objects.all(), "received_at")
    rows = search.rows().defer("body", "signature").prefetch_related("app", "partner")
    return KeysetList(
        rows=rows, time_key="received_at", searched=searched if search.conditions else None
    ).page(cursor)
