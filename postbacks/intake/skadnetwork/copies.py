"""A copy of a postback of Apple's, whichever framework it came from. Plain Python."""

from dataclasses import dataclass

from postbacks.intake.skadnetwork.signatures import Signature

SKADNETWORK = "skadnetwork"
ADATTRIBUTIONKIT = "adattributionkit"


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """What a copy says.

    Conversion values, country and AdAttributionKit's kind of ad are never signed by Apple. What a
    version could sign and does not is not read from it: anybody may have added that. `store_id`
    is Apple's number of the advertised app, "" if there is none.
    """

    protocol: str
    version: str
    signature_state: Signature
    remark: str  # why the signature is not valid, in a sentence
    store_id: str
    network_id: str
    transaction_id: str
    sequence: int
    campaign_id: str = ""
    source_identifier: str = ""
    source_app_id: str = ""
    source_domain: str = ""
    conversion_type: str = ""  # download, redownload, re-engagement
    ad_type: str = ""  # click, view
    redownload: bool | None = None
    did_win: bool | None = None
    conversion_value: int | None = None
    coarse_value: str = ""
    country: str = ""
    signature: str = ""
