"""Copies of Apple's SKAdNetwork postbacks, as devices send them on.

Nobody but Apple can sign one. The good ones here are the samples that Apple published in its pages
on verifying postbacks, so the game's iOS app has the store ID that they name.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from postbacks.demo.networks import LUMEN, Network
from postbacks.demo.sending.http_client import RefusedError, RetryingClient

COPY_PATH = "/.well-known/skadnetwork/report-attribution/"
STORE_ID = "525463029"


@dataclass(frozen=True, slots=True)
class SkanCopy:
    """This is a copy; it counts if Apple signed it and it did not come before."""

    body: Mapping[str, object]
    counts: bool = False
    network: Network = LUMEN  # whose SKAdNetwork id it names


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
    # The device did not hear our answer; what it may add is no part of what was signed.
    SkanCopy({**_NEW, "conversion-value": 1}),
    SkanCopy({**_NEW, "did-win": False}),
    SkanCopy({**_NEW, "source-identifier": "5240"}),
    SkanCopy({**_NEW, "version": "9.0"}),
)


def send_copies(client: RetryingClient) -> None:
    """Send the copies as devices do: without any key. Raises RefusedError if one is not taken."""
    for copy in COPIES:
        headers = {"Content-Type": "application/json", "User-Agent": "SKAdNetwork/1"}
        answer = client.ask("POST", COPY_PATH, headers=headers, body=json.dumps(copy.body).encode())
        if answer.status != 200:
            raise RefusedError(answer.complaint)
