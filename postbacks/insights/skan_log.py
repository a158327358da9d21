"""Copies of Apple's postbacks: what can be asked of them, and one page of the answer."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet

from postbacks.insights.keyset import Cursor, KeysetPage, Log
from postbacks.insights.logs import Span
from postbacks.models import SkanPostback


@dataclass(frozen=True, slots=True)
class CopiesWanted:
    """What is asked of the copies. `id` is a copy's own or Apple's id of the transaction.

    `campaign` is what networks number their campaigns with: source identifier or campaign id.
    """

    span: Span
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
        """Return all conditions but that of time."""
        given: dict[str, object] = {
            "app_id": self.app_id,
            "partner_id": self.partner_id,
            "network_id__iexact": self.network_id,
            "protocol": self.protocol,
            "signature_state": self.signature_state,
            "sequence": self.sequence,
            "did_win": self.did_win,
            "event_name": self.event_name,
        }
        conditions = [Q(**{name: it}) for name, it in given.items() if it not in (None, "")]
        if self.id:
            conditions.append(Q(public_id=self.id) | Q(transaction_id__iexact=str(self.id)))
        if self.campaign:
            conditions.append(Q(source_identifier=self.campaign) | Q(campaign_id=self.campaign))
        if self.duplicate is not None:
            conditions.append(Q(duplicate_of__isnull=not self.duplicate))
        return conditions

    def rows(self, span: Span | None = None) -> "QuerySet[Any]":
        """Return the copies that are asked for, of another time if one is given."""
        within = (span or self.span).within(SkanPostback.objects.all(), "received_at")
        return within.filter(*self.conditions)


def copy_log(wanted: CopiesWanted, cursor: Cursor) -> KeysetPage[SkanPostback]:
    """Return a page of copies, newest first, with their apps and partners."""
    span = wanted.span.within(SkanPostback.objects.all(), "received_at")
    rows = wanted.rows().defer("body", "signature").prefetch_related("app", "partner")
    return Log(rows=rows, time_key="received_at", span=span if wanted.conditions else None).page(
        cursor
    )
