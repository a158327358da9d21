"""The shape of a configuration document. Names identify rows: ids mean nothing elsewhere.

Only rows in use are written: archived rows are history. Secrets are named and never shown.
"""

import codecs
import json
from collections import Counter
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from postbacks.intake.events.lenient_json import stands_twice

FORMAT = "postbacks/organization"
VERSION = 1
MOST_ROWS = 2_000  # of a kind

Names = Annotated[list[str], Meta(max_length=200)]


class OrganizationPart(Struct, forbid_unknown_fields=True):
    """Settings of the organization itself. Its name stays its own.

    Older documents have no currency, and leave the organization's as it is.
    """

    time_zone: str
    currency: str | None = None


class ConversionPart(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """The meaning of a range of fine conversion values, or of a coarse one."""

    first_value: int | None = None
    last_value: int | None = None
    coarse_value: str = ""
    sequence: int | None = None
    event_name: str = ""
    least_revenue: str | None = None
    most_revenue: str | None = None
    currency: str = "USD"


class AppPart(Struct, forbid_unknown_fields=True):
    """An app with its identifiers in stores."""

    name: str
    platform: str
    store_id: str = ""
    time_zone: str = "UTC"
    store_share: str = "0.3"
    bundle_ids: Names = []
    conversion_values: Annotated[list[ConversionPart], Meta(max_length=100)] = []


class PartnerPart(Struct, forbid_unknown_fields=True):
    """A partner with the names of its credentials and the hosts they may be sent to."""

    name: str
    allowed_hosts: Names = []
    credentials: Names = []
    template: str = ""
    skadnetwork_ids: Names = []


class CampaignPart(Struct, forbid_unknown_fields=True):
    """A campaign of an app at a partner."""

    name: str
    app: str
    partner: str
    remote_campaign_id: str = ""


class LinkPart(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """A tracking link of a campaign. An import gives it a new address."""

    name: str
    app: str
    campaign: str
    store_url: str = ""
    fallback_url: str = ""
    deep_link: str = ""
    allowed_destinations: Names = []
    parameters: str = ""


class LinkName(Struct, forbid_unknown_fields=True):
    """The name of a tracking link, with those of its app and campaign."""

    name: str
    app: str
    campaign: str


class CreditPart(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """Attribution settings by field names, and their owner; without one they are everybody's."""

    app: str | None = None
    partner: str | None = None
    link: LinkName | None = None
    settings: dict[str, int | bool | str] = {}


class AlertPart(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """An alert; what it watches by name. Whom it mails stays with the organization.

    A document without its callback URL, as those get it who may not set up alerts, leaves it.
    """

    name: str
    kind: str
    app: str | None = None
    partner: str | None = None
    rule: str | None = None
    threshold: int | None = None
    minutes: int | None = None
    direction: str = "either"
    webhook_url: str | None = None
    quiet_from: str | None = None
    quiet_until: str | None = None
    enabled: bool = True


class SchedulePart(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """A scheduled export, rows of its filters by their names. Its secret access key is no part.

    Without the key nothing can be delivered to a store, so a new one comes in switched off.
    """

    name: str
    list: str
    filters: dict[str, str] = {}
    format: str = "csv"
    interval: str = "daily"
    target: str = "s3"
    endpoint: str = ""
    region: str = ""
    bucket: str = ""
    prefix: str = ""
    access_key_id: str = ""
    enabled: bool = True


class Document(Struct, forbid_unknown_fields=True, kw_only=True):
    """The whole document. A rule has its fields by name, `app` and `partner` by their names."""

    format: str
    version: int
    organization: OrganizationPart
    apps: Annotated[list[AppPart], Meta(max_length=MOST_ROWS)] = []
    partners: Annotated[list[PartnerPart], Meta(max_length=MOST_ROWS)] = []
    campaigns: Annotated[list[CampaignPart], Meta(max_length=MOST_ROWS)] = []
    tracking_links: Annotated[list[LinkPart], Meta(max_length=MOST_ROWS)] = []
    attribution_settings: Annotated[list[CreditPart], Meta(max_length=MOST_ROWS)] = []
    callback_rules: Annotated[list[dict[str, Any]], Meta(max_length=MOST_ROWS)] = []
    alerts: Annotated[list[AlertPart], Meta(max_length=MOST_ROWS)] = []
    export_schedules: Annotated[list[SchedulePart], Meta(max_length=MOST_ROWS)] = []


class UnreadableDocumentError(Exception):
    """The text is no configuration document; the message says where and why."""


def document_from(data: object) -> Document:
    """Return the document in parsed JSON. Raises UnreadableDocumentError."""
    try:
        document = msgspec.convert(data, Document)
    except (msgspec.ValidationError, RecursionError) as error:
        raise UnreadableDocumentError(str(error)) from None
    if document.format != FORMAT or document.version != VERSION:
        raise UnreadableDocumentError(
            f"This is {document.format} {document.version}; here {FORMAT} {VERSION} is read."
        )
    return document


def _refuse_repeated_keys(members: list[tuple[str, object]]) -> None:
    names = [name for name, _ in members]
    if len(set(names)) < len(names):
        twice, _ = Counter(names).most_common(1)[0]
        raise UnreadableDocumentError(stands_twice(twice))


def parse_document(text: bytes) -> Document:
    """Return the document in a file. Raises UnreadableDocumentError."""
    try:
        data = msgspec.json.decode(text.removeprefix(codecs.BOM_UTF8))
        json.loads(text.removeprefix(codecs.BOM_UTF8), object_pairs_hook=_refuse_repeated_keys)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise UnreadableDocumentError(f"This is not JSON: {error}") from None
    if b"\\u0000" in msgspec.json.encode(data):  # as JSON writes it; PostgreSQL can't hold it
        raise UnreadableDocumentError("A text holds the character NUL.")
    return document_from(data)
