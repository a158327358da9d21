"""Copies of Apple's SKAdNetwork postbacks, as devices send them to the developer.

Only Apple can sign one. The valid ones here are the samples in Apple's documentation on verifying
postbacks, so the demo's iOS app has the store ID that they name.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from postbacks.demo.networks import LUMEN, Network

STORE_ID = "525463029"


@dataclass(frozen=True, slots=True)
class SkanCopy:
    """A copy; it counts if Apple signed it and it is no duplicate."""

    body: Mapping[str, object]
    counts: bool = False
    network: Network = LUMEN  # the network that its SKAdNetwork id names


_NEW = {
    "version": "4.0",
    "ad-network-id": "com.example",
    "source-identifier": "5239",
    "app-id": int(STORE_ID),
    "transaction-id": "6aafb7a5-0170-41b5-bbe4-fe71dedf1e30",
    "redownload": False,
    "source-domain": "example.com",
    "fidelity-type": 1,
    "did-win": True,
    "conversion-value": 63,
    "postback-sequence-index": 0,
    "attribution-signature": (
        "MEUCIGRmSMrqedNu6uaHyhVcifs118R5z/AB6cvRaKrRRHWR"
        "AiEAv96ne3dKQ5kJpbsfk4eYiePmrZUU6sQmo+7zfP/1Bxo="
    ),
}
_OLD = {
    "version": "2.1",
    "ad-network-id": "com.example",
    "campaign-id": "42",
    "transaction-id": "6aafb7a5-0170-41b5-bbe4-fe71dedf1e28",
    "app-id": STORE_ID,
    "attribution-signature": (
        "MEUCID6rbq3qt4GvFaAaynh5/LAcvn1d8CQTRhrZhLIxLKnt"
        "AiEAo7IrvoMw6u2qDg6Tr5vIsEHXjlLkPlCOL0ojJcEh3Qw="
    ),
    "redownload": "true",
    "source-app-id": "1234567891",
    "conversion-value": "20",
}

COPIES = (
    SkanCopy(_NEW, counts=True),
    SkanCopy(_OLD, counts=True),
    # The device missed our answer and sends the copy again, with changes to unsigned fields.
    SkanCopy({**_NEW, "conversion-value": 1}),
    SkanCopy({**_NEW, "did-win": False}),
    SkanCopy({**_NEW, "source-identifier": "5240"}),
    SkanCopy({**_NEW, "version": "9.0"}),
)
