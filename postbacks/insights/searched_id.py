"""An id that is searched: the conditions of the rows that carry it, each answered by an index."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cached_property
from uuid import UUID

from django.db.models import Q, QuerySet

from apps_registry.models import App
from postbacks.insights.device_identifiers import FoundDevice, find_devices, ids_behind
from postbacks.models import InstallKey, Touchpoint, TouchpointKey
from postbacks.values import identifiers
from postbacks.values.uuid7 import moment_of, uuid_or_none

_IDENTIFIER_KINDS = (identifiers.ADVERTISING, *identifiers.VENDOR_IDS, *identifiers.OWN_IDS)
_IDS_OF_TOUCHPOINTS = (identifiers.CLICK_ID, *_IDENTIFIER_KINDS, *identifiers.HASHES)
_IDS_OF_REFUSALS = (
    *("customer_user_id", "click_id", "transaction_id", "event_id", "touchpoint_id"),
)
_MOST_BY_KEY = 200
_CLOCKS_DIFFER = timedelta(days=1)  # at most, of who made an ID and of PostgreSQL


class SearchedId:
    """An id in any spelling, raw or hashed, of whatever the current organization has.

    What several look-ups need is read once. Each condition has an index for each kind of id.
    """

    def __init__(self, text: str) -> None:
        self.text = text

    @cached_property
    def apps(self) -> list[int]:
        return list(App.objects.values_list("pk", flat=True))

    @cached_property
    def names(self) -> list[str]:
        """Return the identifiers that it may stand for: of devices and clicks, and hashes."""
        return _names(self.text, *_IDS_OF_TOUCHPOINTS)

    @cached_property
    def devices(self) -> list[FoundDevice]:
        """Return the devices that have had it."""
        return find_devices(self.text)

    @property
    def public_id(self) -> UUID | None:
        return uuid_or_none(self.text)

    @property
    def installs(self) -> Q:
        """Return the condition that an install has it: its own id, the SDK's or the device's."""
        by_key = InstallKey.objects.filter(app_id__in=self.apps, key__in=self._keys(self.names))
        ids = set(by_key.values_list("install_id", flat=True)[:_MOST_BY_KEY])
        ids.update(each.install_id for each in self.devices if each.install_id is not None)
        devices = {
            self.text,
            *(each.device for each in self.devices),
            *(spelling for name in self.names for spelling in identifiers.device_spellings(name)),
        }
        condition = (
            Q(install_id__in=identifiers.install_id_spellings(self.text))
            | Q(app_id__in=self.apps, device__in=devices)
            | Q(pk__in=ids)
        )
        return condition | Q(public_id=self.public_id) if self.public_id else condition

    @property
    def touchpoints(self) -> Q:
        """Return the condition that a touchpoint has it: the network's, a device's, or ours."""
        device_ids = dict.fromkeys(
            (*identifiers.ADVERTISING_IDS, *identifiers.VENDOR_IDS), self.text
        )
        names = {*self.names, *identifiers.hashed_identifiers(device_ids)}
        if identifiers.digest_name(self.text):
            for behind in ids_behind(self.text, self.devices):
                names.update(_names(behind, *_IDENTIFIER_KINDS))
        by_key = TouchpointKey.objects.filter(app_id__in=self.apps, key__in=self._keys(names))
        newest = by_key.order_by("-occurred_at").values_list("touchpoint_id", "received_at")
        rows = dict(newest[:_MOST_BY_KEY])
        if self.public_id:
            rows |= dict(touchpoints_of([self.public_id]).values_list("pk", "received_at"))
        condition = Q(pk__in=[])
        if rows:  # reads no more days than those of the matches
            condition = Q(pk__in=rows, received_at__range=(min(rows.values()), max(rows.values())))
        return condition

    @property
    def refused_events(self) -> Q:
        """Return the condition that a refused event had it."""
        text = self.text.strip()
        names = {
            *_names(text, *_IDENTIFIER_KINDS, *identifiers.HASHES),
            *(f"{kind}:{text}" for kind in _IDS_OF_REFUSALS),
            *(f"{kind}:{text.lower()}" for kind in _IDS_OF_REFUSALS),
        }
        condition = Q(keys__overlap=self._keys(names))
        return condition | Q(public_id=self.public_id) if self.public_id else condition

    def _keys(self, names: "Sequence[str] | set[str]") -> list[UUID]:
        return [identifiers.key_of(app, name) for app in self.apps for name in names]


def touchpoints_of(public_ids: Sequence[UUID]) -> "QuerySet[Touchpoint]":
    """Return touchpoints by our own IDs; the moments in these limit the days that are read."""
    days = days_of(public_ids)
    if days is None:
        return Touchpoint.objects.none()
    return Touchpoint.objects.filter(received_at__range=days, public_id__in=public_ids)


def days_of(public_ids: Sequence[UUID]) -> tuple[datetime, datetime] | None:
    """Return when the rows with our own IDs were made, by the moments in these; None if none is."""
    moments = [moment for public_id in public_ids if (moment := moment_of(public_id))]
    return (min(moments) - _CLOCKS_DIFFER, max(moments) + _CLOCKS_DIFFER) if moments else None


def _names(text: str, *kinds: str) -> list[str]:
    """Return the identifiers that an id stands for, if it is one of these kinds."""
    return [
        spelling
        for kind in kinds
        for spelling in identifiers.spellings(identifiers.identifier(kind, text))
    ]
