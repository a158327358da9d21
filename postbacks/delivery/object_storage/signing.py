"""Signatures of Amazon Web Services, version 4, in a request's header.

https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
"""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import quote

_ALGORITHM = "AWS4-HMAC-SHA256"
_SERVICE = "s3"


@dataclass(frozen=True, slots=True)
class AccessKey:
    """Who signs, and for which region."""

    id: str
    secret: str = field(repr=False)
    region: str = "us-east-1"


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """What a signature covers. `path` and `query` are not encoded; `headers` include the host."""

    method: str
    path: str
    query: Sequence[tuple[str, str]]
    headers: Mapping[str, str]
    body: bytes

    @property
    def target(self) -> str:
        """Return path and query as they are signed, and so as they have to be sent."""
        path = quote(self.path, safe="/-_.~")
        query = self._encoded_query()
        return f"{path}?{query}" if query else path

    def _encoded_query(self) -> str:
        pairs = sorted(
            (quote(name, safe="-_.~"), quote(text, safe="-_.~")) for name, text in self.query
        )
        return "&".join(f"{name}={text}" for name, text in pairs)

    def signed_headers(self, key: AccessKey, at: datetime) -> dict[str, str]:
        """Return the headers with those that sign the request at a time."""
        moment = at.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
        digest = hashlib.sha256(self.body).hexdigest()
        headers = {**self.headers, "x-amz-content-sha256": digest, "x-amz-date": moment}
        lower = {name.lower(): " ".join(text.split()) for name, text in headers.items()}
        names = ";".join(sorted(lower))
        canonical = "\n".join(
            [
                self.method,
                quote(self.path, safe="/-_.~"),
                self._encoded_query(),
                *(f"{name}:{lower[name]}" for name in sorted(lower)),
                "",
                names,
                digest,
            ]
        )
        scope = f"{moment[:8]}/{key.region}/{_SERVICE}/aws4_request"
        to_sign = "\n".join(
            [_ALGORITHM, moment, scope, hashlib.sha256(canonical.encode()).hexdigest()]
        )
        signature = hmac.new(_signing_key(key, moment[:8]), to_sign.encode(), "sha256").hexdigest()
        headers["Authorization"] = (
            f"{_ALGORITHM} Credential={key.id}/{scope},SignedHeaders={names},Signature={signature}"
        )
        return headers


def _signing_key(key: AccessKey, day: str) -> bytes:
    signed = f"AWS4{key.secret}".encode()
    for part in (day, key.region, _SERVICE, "aws4_request"):
        signed = hmac.new(signed, part.encode(), "sha256").digest()
    return signed
