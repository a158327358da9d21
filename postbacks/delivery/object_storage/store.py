"""A bucket of a store that speaks the API of Amazon S3: files whole or in parts.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html
The bucket is named in the path, which every store understands, unless its name begins the host.
An answer is a stranger's: of its XML only codes and IDs are read, by their form.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import unescape
from urllib.parse import urlsplit
from xml.sax.saxutils import escape

from postbacks.delivery.http.address_guard import told_to_authors
from postbacks.delivery.http.response import Reply
from postbacks.delivery.http.transport import Transport
from postbacks.delivery.object_storage.signing import AccessKey, SignedRequest
from postbacks.values.outgoing_request import OutgoingRequest

SMALLEST_PART = 5 * 1024 * 1024  # of all parts but the last one
MOST_PARTS = 10_000
_SECONDS = 30.0  # for one request: 5 MiB at 1.4 Mbit/s
_CODE = re.compile(rb"<Code>([A-Za-z0-9]{1,64})</Code>")
_UPLOAD_ID = re.compile(rb"<UploadId>([\x21-\x7e]{1,1024})</UploadId>")
_REGION = re.compile(r"[a-z0-9-]{1,64}")
_DEFAULT_PORTS = {"http": 80, "https": 443}
_REMEDIES = {
    "AccessDenied": "The access key may not write there: allow it s3:PutObject and "
    "s3:AbortMultipartUpload for the bucket and prefix.",
    "SignatureDoesNotMatch": "The secret access key is not the one of this access key: enter both "
    "again.",
    "InvalidAccessKeyId": "The store does not know the access key: enter it again, or make a new "
    "one there.",
    "NoSuchBucket": "There is no such bucket: check its name and the address, or make it.",
    "AuthorizationHeaderMalformed": "The bucket is in another region: correct the region.",
    "PermanentRedirect": "The bucket is in another region: correct the region and the address.",
    "RequestTimeTooSkewed": "The clock of this server is wrong: tell its operator.",
}


class StoreError(Exception):
    """A file or a part of it was not taken. The message says why and what to do.

    `is_gone`: the store does not know the upload any more.
    """

    def __init__(self, sentence: str, *, is_gone: bool = False) -> None:
        super().__init__(sentence)
        self.is_gone = is_gone


@dataclass(frozen=True, slots=True)
class Bucket:
    """Where a store is, and who writes there. `endpoint` is its address without a path."""

    endpoint: str
    name: str
    key: AccessKey

    def put(self, transport: Transport, path: str, body: bytes) -> None:
        """Store a whole file, in place of one that is there. Raises StoreError."""
        self._send(transport, "PUT", path, body=body)

    def begin_upload(self, transport: Transport, path: str) -> str:
        """Begin a file in parts; return the upload's ID. Raises StoreError."""
        reply = self._send(transport, "POST", path, [("uploads", "")])
        upload_id = _UPLOAD_ID.search(reply.body)
        if upload_id is None:
            raise StoreError("The address answers, but not like a store of S3's API. Check it.")
        return unescape(upload_id[1].decode("ascii"))

    def put_part(self, transport: Transport, path: str, part: tuple[str, int], body: bytes) -> str:
        """Store a part, named by upload and number from 1; return its tag. Raises StoreError."""
        upload, number = part
        query = [("partNumber", str(number)), ("uploadId", upload)]
        reply = self._send(transport, "PUT", path, query, body=body)
        tags = (text for name, text in reply.headers.items() if name.lower() == "etag")
        return next(tags, "")[:128]

    def complete_upload(
        self, transport: Transport, path: str, upload: str, tags: Sequence[str]
    ) -> None:
        """Make one file of all parts. Raises StoreError."""
        parts = "".join(
            f"<Part><PartNumber>{number}</PartNumber><ETag>{escape(tag)}</ETag></Part>"
            for number, tag in enumerate(tags, 1)
        )
        body = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
        reply = self._send(transport, "POST", path, [("uploadId", upload)], body=body)
        if _CODE.search(reply.body):  # a 200 may say so, once the parts are put together
            raise _refused(reply)

    def abort_upload(self, transport: Transport, path: str, upload: str) -> None:
        """Have the store forget the parts of an upload. Raises StoreError."""
        self._send(transport, "DELETE", path, [("uploadId", upload)])

    def _send(
        self,
        transport: Transport,
        method: str,
        path: str,
        query: Sequence[tuple[str, str]] = (),
        *,
        body: bytes = b"",
    ) -> Reply:
        address = urlsplit(self.endpoint)
        host = address.hostname or ""
        is_usual = address.port in {None, _DEFAULT_PORTS.get(address.scheme)}
        authority = host if is_usual else f"{host}:{address.port}"
        place = "" if host.startswith(f"{self.name}.") else f"/{self.name}"
        headers = {"Content-Type": "application/octet-stream", "Host": authority}
        request = SignedRequest(method, f"{place}/{path}", query, headers, body)
        signed = request.signed_headers(self.key, datetime.now(UTC))
        del signed["Host"]  # the transport writes it
        url = f"{address.scheme}://{authority}{request.target}"
        reply = transport.send(OutgoingRequest(method, url, signed, body), timeout=_SECONDS)
        reply = told_to_authors(reply, url)
        if reply.error is not None or reply.status_code is None or reply.status_code >= 300:
            raise _refused(reply)
        return reply


def _refused(reply: Reply) -> StoreError:
    if reply.error is not None or reply.status_code is None:
        return StoreError(f"The store could not be reached. {reply.detail}")
    match = _CODE.search(reply.body)
    code = match[1].decode("ascii") if match else ""
    if remedy := _REMEDIES.get(code):
        return StoreError(f"{remedy}{_own_region(reply)}")
    answered = f"{reply.status_code} {code}".strip()
    return StoreError(f"The store answered {answered}.", is_gone=code == "NoSuchUpload")


def _own_region(reply: Reply) -> str:
    """Return where the bucket is, if the store says so."""
    for name, text in reply.headers.items():
        if name.lower() == "x-amz-bucket-region" and _REGION.fullmatch(text):
            return f" It is {text}."
    return ""
