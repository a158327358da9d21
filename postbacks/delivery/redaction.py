"""⑧ Removes secrets from requests and answers before they are stored."""

import base64
import hmac
import json
import re
from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import quote, quote_plus

from django.conf import settings

from postbacks.delivery.http.response import LONGEST_HEADER, Reply
from postbacks.values.outgoing_request import MASK, OutgoingRequest

STORED_BODY_LENGTH = 4096
_CHARSET = re.compile(r"""charset\s*=\s*["']?([^\s"';,]{1,40})""", re.IGNORECASE)
# Python decodes also what is no character set, such as unicode_escape. In each of these ASCII text
# stands as it is, and so does a secret that a partner echoes.
_OF_TEXT = re.compile(
    r"latin-?1|us-ascii|iso-?8859-\d{1,2}|(windows|cp)-?125\d|koi8-[ru]"
    r"|shift[_-]jis|euc-(jp|kr)|gbk|gb2312|gb18030|big5"
)
_SHORTEST_SECRET = 4  # masking “1” everywhere would hide the answer, not the secret


def fingerprint_of(redacted: OutgoingRequest) -> str:
    """Return a keyed hash of the redacted request, by which attempts are compared."""
    parts = [redacted.method, redacted.url, repr(sorted(redacted.headers.items()))]
    text = "\n".join(parts).encode() + b"\n" + (redacted.body or b"")
    return hmac.digest(settings.SECRET_KEY.encode(), text, "sha256").hex()


def redacted_request(redacted: OutgoingRequest, ours: Mapping[str, str]) -> dict[str, object]:
    return {
        "method": redacted.method,
        "url": redacted.url,
        "headers": {**redacted.headers, **ours},
        "body": None if redacted.body is None else _text(redacted.body),
    }


def redacted_response(reply: Reply, secrets: tuple[str, ...]) -> dict[str, object]:
    if reply.status_code is None:
        return {}
    masker = _Masker(secrets)
    return {
        "headers": {name: masker.mask(value) for name, value in reply.headers.items()},
        # Masked before it is cut: a cut through a secret would leave half of it.
        "body": masker.mask(_text(reply.body, _charset(reply)))[:STORED_BODY_LENGTH],
    }


def redacted_text(text: str, secrets: tuple[str, ...]) -> str:
    """Return a sentence that quotes an answer, without the credentials that it echoes."""
    masked = _Masker(secrets).mask(text) if secrets else text
    return masked.replace("\x00", "\N{REPLACEMENT CHARACTER}")


class _Masker:
    """Hides credentials that a partner echoes, in every form that we know of."""

    def __init__(self, secrets: tuple[str, ...]) -> None:
        long_enough = {secret for secret in secrets if len(secret) >= _SHORTEST_SECRET}
        forms = {form for secret in long_enough for form in _forms(secret)}
        self.forms = sorted(forms, key=len, reverse=True)  # the longer may hold the shorter
        self.longest = len(self.forms[0]) if forms else 0

    def mask(self, text: str) -> str:
        for form in self.forms:
            text = text.replace(form, MASK)
        # An answer is read up to a limit, which may lie in the middle of a secret.
        return text[: -self.longest] if self.longest and len(text) >= LONGEST_HEADER else text


@lru_cache(maxsize=1024)
def _forms(secret: str) -> frozenset[str]:
    data = secret.encode()
    forms = {
        secret,
        quote(secret, safe=""),
        quote_plus(secret),
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        base64.b64encode(data).decode(),
        base64.urlsafe_b64encode(data).decode().rstrip("="),
    }
    return frozenset(forms)


def _charset(reply: Reply) -> str:
    """Return the character set that an answer names, if it is one of text; else UTF-8."""
    if reply.body.isascii():
        return "utf-8"
    types = (value for name, value in reply.headers.items() if name.lower() == "content-type")
    named = _CHARSET.search(next(types, ""))
    charset = named[1].lower() if named else ""
    return charset if _OF_TEXT.fullmatch(charset) else "utf-8"


def _text(data: bytes, charset: str = "utf-8") -> str:
    try:
        text = data.decode(charset, "replace")
    except LookupError:  # one that Python does not know
        text = data.decode("utf-8", "replace")
    # PostgreSQL's JSON can't hold a NUL character.
    return text.replace("\x00", "\N{REPLACEMENT CHARACTER}")
