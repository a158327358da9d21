"""A copy of one of Apple's postbacks, from either framework. Plain Python."""

from dataclasses import dataclass
from enum import StrEnum

from postbacks.intake.skadnetwork.signatures import CopySignature

SKADNETWORK = "skadnetwork"
ADATTRIBUTIONKIT = "adattributionkit"


class AdType(StrEnum):
    """What a person did with the ad."""

    CLICK = "click"
    VIEW = "view"


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """The content of a copy.

    Apple never signs conversion values, country and AdAttributionKit's kind of ad. A field that
    other versions sign and this one does not is not read: anybody may have added it. `store_id` is
    Apple's number of the advertised app, "" if there is none.
    """

    protocol: str
    version: str
    signature_state: CopySignature
    remark: str  # why the signature is not valid, as a sentence
    store_id: str
    network_id: str
    transaction_id: str
    sequence: int
    campaign_id: str = ""
    source_identifier: str = ""
    source_app_id: str = ""
    source_domain: str = ""
    conversion_type: str = ""  # download, redownload, re-engagement
    ad_type: str = ""  # an AdType
    redownload: bool | None = None
    did_win: bool | None = None
    conversion_value: int | None = None
    coarse_value: str = ""
    country: str = ""
    signature: str = ""
