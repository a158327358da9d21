"""⑤ A compiled request template, rendered for each postback without parsing it again."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from types import MappingProxyType
from typing import Final

from postbacks.callbacks.macros.authentication import Authentication
from postbacks.callbacks.macros.expressions import Expression
from postbacks.callbacks.macros.headers import CompiledHeaders
from postbacks.callbacks.macros.problems import RenderError, too_large
from postbacks.callbacks.macros.skeleton import LONGEST_BODY, ROOM_FOR_SECRETS
from postbacks.callbacks.macros.url import CompiledUrl, split_host
from postbacks.callbacks.macros.value import MASK, Rates, RenderScope, Value, present
from postbacks.values.outgoing_request import OutgoingRequest, Rendering

LONGEST_CREDENTIAL: Final = 4_096

_NO_CREDENTIALS: Final[Mapping[str, str]] = MappingProxyType({})


# Writes the body's text from the values of all macros.
BodyRenderer = Callable[[Sequence[object]], str]


class _AnyRate:
    """The rates of a day that has not come yet: every amount has a value."""

    def convert(self, amount: Decimal, source: str, target: str) -> Decimal | None:
        return amount


class AnyCredential(dict[str, str]):
    """Credentials that are not known yet: every name has a value."""

    def get(self, key: str, default: object = None) -> str:
        return MASK


@dataclass(frozen=True, slots=True)
class CompiledRequest:
    """A compiled template that turns values into requests.

    `macros` names all of its macros without their endings. `host` is the template's host, "" if
    that is a credential. `plain_names` holds "" for each macro that is more than a name.
    """

    macros: frozenset[str]
    host: str
    method: str
    expressions: tuple[Expression, ...] = field(repr=False)
    url: CompiledUrl = field(repr=False)
    headers: CompiledHeaders = field(repr=False)
    body: BodyRenderer | None = field(repr=False)
    allowed_hosts: frozenset[str] = field(repr=False)
    has_secrets: bool = field(repr=False)
    has_pieces: bool = field(repr=False)
    plain_names: tuple[str, ...] = field(repr=False)
    required: tuple[Expression, ...] = field(repr=False)
    others: tuple[tuple[int, Expression], ...] = field(repr=False)
    authentication: Authentication | None = field(default=None, repr=False)

    def missing_required(
        self,
        values: Mapping[str, Value],
        *,
        credentials: Mapping[str, str] | None = None,
        rates: Rates | None = None,
    ) -> str | None:
        """Return the first required macro without a value, None if all have one.

        Credentials or rates that are None count as having a value, so that a postback can be
        decided before they are known.
        """
        if not self.required:
            return None
        scope = RenderScope(
            values,
            AnyCredential() if credentials is None else credentials,
            _AnyRate() if rates is None else rates,
        )
        for expression in self.required:
            lacks = expression.is_openly_absent if credentials is None else expression.lacks_value
            if lacks(scope):
                return expression.names[0] if expression.names else ""
        return None

    def lane(self, credentials: Mapping[str, str]) -> str:
        """Return the host and port that requests go to, "" if the credential host is none.

        Only a template whose host is a credential needs `credentials`.
        """
        if self.url.host_index is None:
            return f"{self.url.host}:{self.url.port}"
        scope = RenderScope({}, credentials, None)
        return self.url.lane_of(self.expressions[self.url.host_index].evaluate(scope))

    def render(
        self,
        values: Mapping[str, Value],
        *,
        credentials: Mapping[str, str] = _NO_CREDENTIALS,
        rates: Rates | None = None,
    ) -> Rendering:
        """Render the request, and its redacted twin for people.

        Raises RenderError if a value would have changed more than its own place, or if a part
        becomes too large. A required macro without a value is like any other here: previews show
        such requests.
        """
        results = self._results(values, credentials, rates)
        authority = self.url.authority_for(results, self.allowed_hosts)
        if not self.has_secrets:
            request = self._request(results, authority)
            return Rendering(request, request, self._missing(results) if None in results else ())
        _check_lengths(credentials)
        request = self._request(results, authority, room=ROOM_FOR_SECRETS)
        masked = self._masked(results, RenderScope(values, credentials, rates))
        redacted = self._request(masked, self.url.authority or MASK)
        missing = self._missing(masked) if None in masked else ()
        secrets = self._secrets(results)
        if self.url.host_index is not None and (host := split_host(authority)):
            secrets = (*secrets, host[0])  # certificates and look-ups name it without its port
        if self.authentication is not None:
            request, proof = self.authentication.prove(request, credentials)
            redacted, secrets = self.authentication.redact(redacted), (*secrets, proof)
        return Rendering(request, redacted, missing, secrets, self.has_pieces)

    def _results(
        self, values: Mapping[str, Value], credentials: Mapping[str, str], rates: Rates | None
    ) -> list[object]:
        """Return the values of all macros in order. Most are only looked up."""
        find = values.get
        results: list[object] = [
            value if type(value := find(name)) is str and value else present(value)
            for name in self.plain_names
        ]
        if self.others:
            scope = RenderScope(values, credentials, rates)
            for index, expression in self.others:
                results[index] = expression.evaluate(scope)
        return results

    def _secrets(self, results: Sequence[object]) -> tuple[str, ...]:
        return tuple(
            str(result)
            for expression, result in zip(self.expressions, results, strict=True)
            if expression.secret and result is not None
        )

    def _masked(self, results: Sequence[object], scope: RenderScope) -> list[object]:
        """Return what people see in place of the values: a mask also where a credential made none.

        What its filters make of a credential may be nothing, which would reveal something.
        """
        return [
            MASK
            if expression.secret and (result is not None or not expression.is_openly_absent(scope))
            else result
            for expression, result in zip(self.expressions, results, strict=True)
        ]

    def _request(
        self, results: Sequence[object], authority: str, *, room: int = 0
    ) -> OutgoingRequest:
        body = None
        if self.body is not None:
            body = self.body(results).encode("utf-8", "replace")
            if len(body) > LONGEST_BODY + room:
                raise too_large("The body", LONGEST_BODY, "bytes")
        url = self.url.render(results, authority, room)
        return OutgoingRequest(self.method, url, self.headers.render(results, room), body)

    def _missing(self, results: Sequence[object]) -> tuple[str, ...]:
        names: dict[str, None] = {}
        for expression, result in zip(self.expressions, results, strict=True):
            if result is None:
                names.update(dict.fromkeys(expression.names))
        return tuple(names)


def _check_lengths(credentials: Mapping[str, str]) -> None:
    if any(len(secret) > LONGEST_CREDENTIAL for secret in credentials.values()):
        raise RenderError(
            "bad_credential", f"A credential has at most {LONGEST_CREDENTIAL:,} characters."
        )
