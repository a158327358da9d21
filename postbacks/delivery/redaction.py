"""⑧ Removes secrets from requests and answers before they are stored."""

import base64
import hmac
import html
import json
import re
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from urllib.parse import quote, quote_plus

from django.conf import settings

from postbacks.delivery.http.response import LONGEST_HEADER, MOST_BODY, Reply
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
_SHORTEST_WORD = 2  # these are masked only where they are whole words
WITHHELD = f"{MASK} Not shown: the request sends a piece of a credential, which could be guessed."

SHOWN_HEADER_LENGTH = 4096
_MOST_MASKS_OF_HEADER = 4
_MOST_MASKS_OF_BODY = 12
_LONGEST_KEPT = 512  # characters of a request's secrets
# With so few masks, each in place of so much at most, what is shown was read to its end.
_LONGEST_USUAL = 800
_UNSURE_END = 4096


def fingerprint_of(redacted: OutgoingRequest) -> str:
    """Return a keyed hash of the redacted request, by which attempts are compared."""
    headers = sorted(redacted.headers.items()) if redacted.headers else []
    text = f"{redacted.method}\n{redacted.url}\n{headers!r}\n".encode() + (redacted.body or b"")
    keyed = _keyed_hash().copy()
    keyed.update(text)
    return keyed.hexdigest()


@cache
def _keyed_hash() -> hmac.HMAC:
    """Return a hash that has taken the key in, which is half of the work for a short text."""
    return hmac.new(settings.SECRET_KEY.encode(), digestmod="sha256")


def redacted_request(redacted: OutgoingRequest, ours: Mapping[str, str]) -> dict[str, object]:
    return {
        "method": redacted.method,
        "url": redacted.url,
        "headers": {**redacted.headers, **ours} if redacted.headers else ours,
        "body": None if redacted.body is None else _text(redacted.body),
    }


def redacted_response(reply: Reply, secrets: tuple[str, ...]) -> dict[str, object]:
    """Return an answer as people see it.

    What is shown of one that holds secrets ends well before the limits up to which it was read,
    so that neither its length nor its end tells how long they are.
    """
    if reply.status_code is None:
        return {}
    body = _text(reply.body, _charset(reply))
    if not secrets:
        return {"headers": reply.headers, "body": body[:STORED_BODY_LENGTH]}
    masker = masker_of(secrets)
    masker = masker if masker.finds((*reply.headers, *reply.headers.values(), body)) else _NOTHING
    return {
        "headers": {
            masker.mask(name): masker.shown_header(value) for name, value in reply.headers.items()
        },
        "body": masker.shown_body(body, is_cut=reply.truncated),
    }


def withheld_response(reply: Reply) -> dict[str, object]:
    """Return what people see of an answer to a request with pieces of a credential: nothing.

    A piece can be guessed. Masked where the answer repeats the rule's own text, the place of a mask
    would tell which guess was right.
    """
    return {} if reply.status_code is None else {"headers": {}, "body": WITHHELD}


def redacted_text(text: str, secrets: tuple[str, ...]) -> str:
    """Return a sentence that quotes an answer, without the credentials that it echoes."""
    masked = masker_of(secrets).mask(text) if secrets else text
    # JSON's escapes may write half a character, which no text of PostgreSQL's can hold either.
    whole = masked.encode("utf-8", "replace").decode()
    return whole.replace("\x00", "\N{REPLACEMENT CHARACTER}")


class Masker:
    """Hides credentials that a partner echoes, in every form that we know of."""

    def __init__(self, secrets: tuple[str, ...]) -> None:
        long_enough = {secret for secret in secrets if len(secret) >= _SHORTEST_SECRET}
        forms = {form for secret in long_enough for form in _known_forms(secret)}
        self.forms = sorted(forms, key=len, reverse=True)  # the longer may hold the shorter
        self.longest = len(self.forms[0]) if forms else 0
        self.words = [word for word in secrets if _SHORTEST_WORD <= len(word) < _SHORTEST_SECRET]

    def finds(self, texts: Sequence[str]) -> bool:
        """Tell whether anything may have to be masked, which is so for few answers."""
        together = "\n".join(texts)
        return "\x00" in together or any(text in together for text in (*self.forms, *self.words))

    def mask(self, text: str) -> str:
        if self.forms and "\x00" in text:  # as in UTF-16, where they part the letters
            text = text.replace("\x00", "")
        for form in self.forms:
            text = text.replace(form, MASK)
        return text

    def mask_body(self, text: str, *, is_cut: bool) -> str:
        """Mask a body; `is_cut`: it was read up to a limit, which may lie within a secret."""
        masked = self.mask(text)
        return masked[: -max(self.longest, _UNSURE_END)] if is_cut and self.forms else masked

    def shown_header(self, value: str) -> str:
        if len(value) >= LONGEST_HEADER and self.longest > _LONGEST_USUAL:
            return MASK
        return self._shown(self.mask(value), SHOWN_HEADER_LENGTH, _MOST_MASKS_OF_HEADER)

    def shown_body(self, text: str, *, is_cut: bool) -> str:
        if is_cut and self.longest > _LONGEST_USUAL:
            return MASK
        return self._shown(self.mask(text), STORED_BODY_LENGTH, _MOST_MASKS_OF_BODY)

    def _shown(self, masked: str, length: int, most_masks: int) -> str:
        for word in self.words:
            masked = _whole_word(word).sub(MASK, masked)
        parts = masked.split(MASK, most_masks)
        if len(parts) > most_masks:
            masked = MASK.join([*parts[:most_masks], "…"])
        return masked[:length]


_NOTHING = Masker(())


def masker_of(secrets: tuple[str, ...]) -> Masker:
    """Return what masks some secrets. Long ones fill the memory: few of those are kept."""
    is_short = sum(map(len, secrets)) <= _LONGEST_KEPT
    return _masker_of_short(secrets) if is_short else _masker_of_long(secrets)


@lru_cache(maxsize=1024)
def _masker_of_short(secrets: tuple[str, ...]) -> Masker:
    return Masker(secrets)


@lru_cache(maxsize=2)  # an attempt asks several times
def _masker_of_long(secrets: tuple[str, ...]) -> Masker:
    return Masker(secrets)


@lru_cache(maxsize=1024)
def _whole_word(secret: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![^\W_]){re.escape(secret)}(?![^\W_])")


def _forms(secret: str) -> frozenset[str]:
    if len(secret) > MOST_BODY:  # no answer holds it whole, and no form of it is shorter
        return frozenset({secret})
    data = secret.encode()
    forms = {
        secret,
        quote(secret, safe=""),
        quote_plus(secret),
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        base64.b64encode(data).decode(),
        base64.urlsafe_b64encode(data).decode().rstrip("="),
        data.hex(),
    }
    forms |= {form.replace("/", "\\/") for form in forms}  # as PHP writes JSON
    forms |= {html.escape(secret), html.escape(secret, quote=False), quote(quote(secret, safe=""))}
    forms |= {form for text in forms for form in (text.lower(), text.upper())}
    return frozenset(forms)


def _known_forms(secret: str) -> frozenset[str]:
    return _forms_of_short(secret) if len(secret) <= _LONGEST_KEPT else _forms(secret)


_forms_of_short = lru_cache(maxsize=1024)(_forms)


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
