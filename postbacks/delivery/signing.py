"""Signs requests as Standard Webhooks 1.0 describes, so that receivers can verify the sender.

HMAC-SHA256 signs `id.timestamp.body`. The id is the postback's, the same over all attempts; the
time is the attempt's own, so that a receiver can refuse old requests.
"""

import base64
import hmac
from collections.abc import Sequence
from datetime import datetime

from apps_registry.crypto.keys import SIGNING_SECRET
from postbacks.values.outgoing_request import MASK


def signature_headers(
    secrets: Sequence[str], *, message_id: str, at: datetime, body: bytes | None
) -> dict[str, str]:
    """Return the three headers, with a signature for each secret; no headers without a secret."""
    if not secrets:
        return {}
    timestamp = str(int(at.timestamp()))
    signed = f"{message_id}.{timestamp}.".encode() + (body or b"")
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(_signature(secret, signed) for secret in secrets),
    }


def redacted_signature(message_id: str, *, at: datetime) -> dict[str, str]:
    """Return the three headers as they are logged."""
    timestamp = str(int(at.timestamp()))
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{MASK}",
    }


def _signature(secret: str, signed: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(SIGNING_SECRET))
    return "v1," + base64.b64encode(hmac.digest(key, signed, "sha256")).decode()
