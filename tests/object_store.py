"""A store of S3's API on loopback, as strict as Amazon's: it computes every signature by itself.

Written from the specification and not from the code that it judges:
https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
"""

import hashlib
import hmac
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import unquote, urlsplit

KEY_ID, SECRET, REGION, BUCKET = "AKIATESTS", "a/very+secret=key-of-tests", "eu-central-1", "lake"
_SMALLEST = 5 * 1024 * 1024
_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/,]+)/(\d{8})/([^/,]+)/s3/aws4_request,\s*"
    r"SignedHeaders=([a-z0-9;-]+),\s*Signature=([0-9a-f]{64})"
)
_NEEDED = {"host", "x-amz-content-sha256", "x-amz-date"}


@dataclass
class Store:
    """What the store holds, which calls it had, and what it is to answer in place of good ones."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    uploads: dict[str, dict[int, bytes]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    refusals: list[tuple[int, str]] = field(default_factory=list)
    secret: str = SECRET
    writes: dict[str, int] = field(default_factory=dict)


def signature_of(
    method: str, target: str, headers: dict[str, str], signed: str, *, scope: list[str], secret: str
) -> str:
    """Return the signature of a request as it came, `target` still encoded."""
    path, _, query = target.partition("?")
    pairs = sorted((*pair.partition("=")[::2],) for pair in query.split("&") if pair)
    canonical = [
        method,
        path,
        "&".join(f"{name}={text}" for name, text in pairs),
        "".join(f"{name}:{headers[name].strip()}\n" for name in signed.split(";")),
        signed,
        headers["x-amz-content-sha256"],
    ]
    digest = hashlib.sha256("\n".join(canonical).encode()).hexdigest()
    text = "\n".join(["AWS4-HMAC-SHA256", headers["x-amz-date"], "/".join(scope), digest])
    key = ("AWS4" + secret).encode()
    for part in scope:
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    store: Store

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_PUT(self) -> None:
        self._serve()

    do_POST = do_DELETE = do_PUT  # noqa: N815  # as the library calls them

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        query = urlsplit(self.path).query
        self.store.calls.append(f"{self.command} {query.partition('=')[0] or 'object'}")
        if self.store.refusals:
            status, code = self.store.refusals.pop(0)
            self._answer(status, f"<Error><Code>{code}</Code></Error>")
        elif refusal := self._refusal(body):
            self._answer(403, f"<Error><Code>{refusal}</Code></Error>")
        else:
            self._do(unquote(urlsplit(self.path).path), dict(_pairs(query)), body)

    def _refusal(self, body: bytes) -> str:
        match = _AUTHORIZATION.fullmatch(self.headers.get("Authorization", ""))
        headers = {name.lower(): text for name, text in self.headers.items()}
        if match is None or not set(match[4].split(";")) >= _NEEDED:
            return "AccessDenied"
        if match[1] != KEY_ID:
            return "InvalidAccessKeyId"
        if match[3] != REGION:
            return "AuthorizationHeaderMalformed"
        if headers["x-amz-content-sha256"] != hashlib.sha256(body).hexdigest():
            return "XAmzContentSHA256Mismatch"
        if not headers["x-amz-date"].startswith(match[2]):
            return "SignatureDoesNotMatch"
        scope = [match[2], match[3], "s3", "aws4_request"]
        ours = signature_of(
            self.command, self.path, headers, match[4], scope=scope, secret=self.store.secret
        )
        return "" if ours == match[5] else "SignatureDoesNotMatch"

    def _do(self, path: str, query: dict[str, str], body: bytes) -> None:
        bucket, _, key = path.lstrip("/").partition("/")
        if bucket != BUCKET:
            self._answer(404, "<Error><Code>NoSuchBucket</Code></Error>")
        elif "uploads" in query:
            upload = f"upload/{len(self.store.calls)}+x"
            self.store.uploads[upload] = {}
            self._answer(200, f"<R><UploadId>{upload}</UploadId></R>")
        elif "uploadId" not in query:
            self._keep(key, body)
        elif query["uploadId"] not in self.store.uploads:
            self._answer(404, "<Error><Code>NoSuchUpload</Code></Error>")
        else:
            self._do_part(key, query, body)

    def _do_part(self, key: str, query: dict[str, str], body: bytes) -> None:
        parts = self.store.uploads[query["uploadId"]]
        if self.command == "PUT":
            parts[int(query["partNumber"])] = body
            self._answer(200, "", {"ETag": f'"{hashlib.md5(body).hexdigest()}"'})  # noqa: S324
        elif self.command == "DELETE":
            del self.store.uploads[query["uploadId"]]
            self._answer(204, "")
        else:
            self._complete(key, query["uploadId"], body.decode())

    def _complete(self, key: str, upload: str, text: str) -> None:
        parts = self.store.uploads.pop(upload)
        named = re.findall(r"<PartNumber>(\d+)</PartNumber><ETag>([^<]+)</ETag>", text)
        digests = [(str(n), f"{hashlib.md5(parts[n]).hexdigest()}") for n in sorted(parts)]  # noqa: S324
        if [(number, re.sub(r'"|&quot;', "", tag)) for number, tag in named] != digests:
            self._answer(200, "<Error><Code>InvalidPart</Code></Error>")
        elif any(len(parts[number]) < _SMALLEST for number in sorted(parts)[:-1]):
            self._answer(400, "<Error><Code>EntityTooSmall</Code></Error>")
        else:
            self._keep(key, b"".join(parts[number] for number in sorted(parts)))

    def _keep(self, key: str, body: bytes) -> None:
        self.store.files[key] = body
        self.store.writes[key] = self.store.writes.get(key, 0) + 1
        self._answer(200, "<R/>")

    def _answer(self, status: int, text: str, headers: dict[str, str] | None = None) -> None:
        body = text.encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body if status != 204 else b"")


def _pairs(query: str) -> Iterator[tuple[str, str]]:
    for pair in query.split("&"):
        name, _, text = pair.partition("=")
        yield unquote(name), unquote(text)


@contextmanager
def object_store() -> Iterator[Store]:
    store = Store()
    handler = type("Handler", (_Handler,), {"store": store})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        store.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield store
        server.shutdown()
        thread.join()
