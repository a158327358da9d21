"""Authentication of a request: a header made of the partner's credentials, added last.

`{"type": "bearer", "credential": "api_key"}` and the like name credentials and never hold them. The
rules of credential macros apply: each must exist, and goes to the partner's allowed hosts only.
"""

import base64
import hmac
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from postbacks.callbacks.macros.headers import check_name
from postbacks.callbacks.macros.problems import Problems, RenderError, RuleError, nearest
from postbacks.callbacks.macros.value import MASK
from postbacks.values.outgoing_request import OutgoingRequest

ALGORITHMS: Final = ("sha256", "sha1", "md5")
ENCODINGS: Final = ("hex", "base64")
SIGNED_PARTS: Final = ("body", "url")


class AuthenticationType(StrEnum):
    """How a partner recognizes us, as rules store it."""

    NONE = "none"
    BEARER = "bearer"
    BASIC = "basic"
    HEADER = "header"
    HMAC = "hmac"


# The credentials that each kind must name, and the options of HMAC, whose first one is the default.
_CREDENTIALS: Final[Mapping[AuthenticationType, tuple[str, ...]]] = {
    AuthenticationType.NONE: (),
    AuthenticationType.BEARER: ("credential",),
    AuthenticationType.BASIC: ("user", "password"),
    AuthenticationType.HEADER: ("credential",),
    AuthenticationType.HMAC: ("credential",),
}
_CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "algorithm": ALGORITHMS,
    "encoding": ENCODINGS,
    "over": SIGNED_PARTS,
}
_WITH_OWN_HEADER: Final = {AuthenticationType.HEADER, AuthenticationType.HMAC}
_AUTHORIZATION: Final = "Authorization"

Proof = Callable[[OutgoingRequest, Mapping[str, str]], str]


@dataclass(frozen=True, slots=True)
class Authentication:
    """A header that proves who sends; `scheme` is the part of its value that is no secret."""

    header: str
    scheme: str
    make: Proof

    def prove(
        self, request: OutgoingRequest, credentials: Mapping[str, str]
    ) -> tuple[OutgoingRequest, str]:
        """Return the request with the proof, and the proof itself, to be masked in answers.

        Raises RenderError if a credential is empty or can't stand in a header.
        """
        proof = self.make(request, credentials)
        if not proof.isprintable() or not proof.isascii():
            raise RenderError(
                "bad_credential", "A credential holds a character that can't stand in a header."
            )
        return self._with(request, proof), proof

    def redact(self, request: OutgoingRequest) -> OutgoingRequest:
        """Return the request with a mask in place of the proof, for people."""
        return self._with(request, MASK)

    def _with(self, request: OutgoingRequest, text: str) -> OutgoingRequest:
        return replace(request, headers={**request.headers, self.header: self.scheme + text})


def compile_authentication(
    data: Mapping[str, str],
    *,
    credential_names: Collection[str],
    headers: Collection[str],
    errors: list[RuleError],
) -> Authentication | None:
    """Compile a rule's authentication; None if it has none, or a wrong one.

    `headers` are the rule's own headers, in small letters. Problems are added to `errors`.
    """
    errors_before = len(errors)
    name_of_type = data.get("type", AuthenticationType.NONE)
    if name_of_type not in _CREDENTIALS:
        types = [kind.value for kind in AuthenticationType]
        _note(
            errors, "type", f"Write one of {', '.join(types)}.", nearest(str(name_of_type), types)
        )
        return None
    kind = AuthenticationType(name_of_type)
    _check_members(kind, data, errors)
    _check_credentials(kind, data, credential_names, errors)
    for name, choices in _CHOICES.items() if kind is AuthenticationType.HMAC else ():
        if data.get(name, choices[0]) not in choices:
            _note(errors, name, f"Write one of {', '.join(choices)}.")
    header = data.get("header", "") if kind in _WITH_OWN_HEADER else _AUTHORIZATION
    if kind is not AuthenticationType.NONE:
        problems = Problems("authentication.header", errors)
        check_name(header, set(headers), problems, proves_us=True)
    if kind is AuthenticationType.NONE or len(errors) > errors_before:
        return None
    return _build(kind, header, data)


def _check_members(
    kind: AuthenticationType, data: Mapping[str, str], errors: list[RuleError]
) -> None:
    members = {"type", *_CREDENTIALS[kind]}
    members |= {"header"} if kind in _WITH_OWN_HEADER else set()
    members |= set(_CHOICES) if kind is AuthenticationType.HMAC else set()
    for name in sorted(set(data) - members):
        _note(errors, name, f"Authentication {kind} has no {name[:40]}.", nearest(name, members))


def _check_credentials(
    kind: AuthenticationType,
    data: Mapping[str, str],
    credential_names: Collection[str],
    errors: list[RuleError],
) -> None:
    for member in _CREDENTIALS[kind]:
        name = data.get(member)
        if not name:
            _note(errors, member, "Name a credential of the rule's partner, for example api_key.")
        elif name not in credential_names:
            _note(
                errors,
                member,
                f"The rule's partner has no credential {name[:80]}.",
                nearest(name, credential_names),
            )


def _note(
    errors: list[RuleError], member: str, message: str, suggestion: str | None = None
) -> None:
    Problems(f"authentication.{member}", errors).add(0, message, suggestion)


def _build(kind: AuthenticationType, header: str, data: Mapping[str, str]) -> Authentication:
    if kind is AuthenticationType.BASIC:
        return Authentication(header, "Basic ", _basic(data["user"], data["password"]))
    name = data["credential"]
    if kind is AuthenticationType.HMAC:
        chosen = {option: data.get(option, choices[0]) for option, choices in _CHOICES.items()}
        return Authentication(header, "", _hmac(name, **chosen))
    scheme = "Bearer " if kind is AuthenticationType.BEARER else ""
    return Authentication(header, scheme, lambda _, credentials: _credential(name, credentials))


def _basic(user: str, password: str) -> Proof:
    def make(_: OutgoingRequest, credentials: Mapping[str, str]) -> str:
        pair = f"{_credential(user, credentials)}:{_credential(password, credentials)}"
        return base64.b64encode(pair.encode()).decode()

    return make


def _hmac(name: str, *, algorithm: str, encoding: str, over: str) -> Proof:
    def make(request: OutgoingRequest, credentials: Mapping[str, str]) -> str:
        signed = request.url.encode() if over == "url" else request.body or b""
        digest = hmac.digest(_credential(name, credentials).encode(), signed, algorithm)
        return digest.hex() if encoding == "hex" else base64.b64encode(digest).decode()

    return make


def _credential(name: str, credentials: Mapping[str, str]) -> str:
    secret = credentials.get(name, "")
    if not secret:
        raise RenderError("no_credential", f"The credential {name} is empty.")
    return secret
