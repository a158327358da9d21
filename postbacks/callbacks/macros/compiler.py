"""④ Compiles a request template, or lists everything that is wrong with it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from postbacks.callbacks.macros.authentication import Authentication, compile_authentication
from postbacks.callbacks.macros.compiled import BodyRenderer, CompiledRequest
from postbacks.callbacks.macros.encoders import as_text
from postbacks.callbacks.macros.expressions import Expression
from postbacks.callbacks.macros.headers import CompiledHeaders, check_name, compile_header
from postbacks.callbacks.macros.json_body import compile_json, render_json
from postbacks.callbacks.macros.parameters import compile_form
from postbacks.callbacks.macros.problems import Problems, RuleError, TemplateError
from postbacks.callbacks.macros.skeleton import Skeleton, laid_out, read_skeleton
from postbacks.callbacks.macros.url import CompiledUrl, compile_url, is_allowed
from postbacks.values.rule_choices import BodyType, HttpMethod, MissingValues

MOST_HEADERS: Final = 20
LONGEST_BODY_TEMPLATE: Final = 65_536

_METHODS: Final = tuple(HttpMethod)
_CONTENT_TYPES: Final = {
    BodyType.FORM: "application/x-www-form-urlencoded",
    BodyType.JSON: "application/json",
}


@dataclass(frozen=True, slots=True)
class RequestTemplate:
    """A request with macros in it, as a person wrote it."""

    method: str = "GET"
    url: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body_type: BodyType = BodyType.NONE
    body: str = ""
    missing_values: MissingValues = MissingValues.EMPTY
    authentication: Mapping[str, str] = field(default_factory=dict)

    @property
    def length(self) -> int:
        """Return the characters of its texts."""
        return len(self.url) + len(self.body) + sum(map(len, self.headers.values()))


def compile_request(
    template: RequestTemplate,
    *,
    credential_names: Collection[str] = (),
    allowed_hosts: Collection[str] = (),
) -> CompiledRequest:
    """Compile a template. Raises TemplateError, which names every problem.

    `credential_names` are the partner's credentials, `allowed_hosts` the hosts that may get them:
    names, `*.example.com`, addresses, each with or without a port.
    """
    return _Compiler(template, frozenset(credential_names), frozenset(allowed_hosts)).compiled()


@dataclass(slots=True)
class _Compiler:
    template: RequestTemplate
    credential_names: frozenset[str]
    allowed_hosts: frozenset[str]
    expressions: list[Expression | None] = field(default_factory=list)
    problems: list[RuleError] = field(default_factory=list)
    skeletons: list[tuple[Skeleton, Problems]] = field(default_factory=list)

    def compiled(self) -> CompiledRequest:
        self._check_method()
        url = self._url()
        headers = self._headers()
        body = self._body()
        authentication = self._authentication(headers)
        if url is not None:
            self._check_credentials(url, authentication)
        expressions = tuple(expression for expression in self.expressions if expression is not None)
        if self.problems or url is None or len(expressions) < len(self.expressions):
            raise TemplateError(self._in_order())
        return CompiledRequest(
            macros=frozenset(name for expression in expressions for name in expression.names),
            host=url.host,
            method=self.template.method,
            expressions=expressions,
            url=url,
            headers=headers,
            body=body,
            allowed_hosts=self.allowed_hosts,
            authentication=authentication,
            has_secrets=authentication is not None
            or any(expression.secret for expression in expressions),
            has_pieces=any(expression.is_piece for expression in expressions),
            required=tuple(expression for expression in expressions if expression.required),
            plain_names=tuple(expression.plain_name or "" for expression in expressions),
            others=tuple(
                (index, expression)
                for index, expression in enumerate(expressions)
                if expression.plain_name is None
            ),
        )

    def _in_order(self) -> list[RuleError]:
        fields = list(dict.fromkeys(problem.field for problem in self.problems))
        return sorted(
            self.problems, key=lambda problem: (fields.index(problem.field), problem.position)
        )

    @property
    def _drop(self) -> bool:
        return self.template.missing_values == MissingValues.DROP

    def _problems(self, name: str) -> Problems:
        return Problems(name, self.problems)

    def _skeleton(self, text: str, problems: Problems) -> Skeleton:
        skeleton = read_skeleton(text, self.expressions, self.credential_names, problems)
        self.skeletons.append((skeleton, problems))
        return skeleton

    def _check_method(self) -> None:
        if self.template.method not in _METHODS:
            self._problems("method").add(0, f"The method must be one of {', '.join(_METHODS)}.")

    def _url(self) -> CompiledUrl | None:
        problems = self._problems("url")
        return compile_url(self._skeleton(self.template.url, problems), problems, drop=self._drop)

    def _headers(self) -> CompiledHeaders:
        compiled = []
        names: set[str] = set()
        for name, text in self.template.headers.items():
            problems = self._problems(f"headers.{name}")
            check_name(name, names, problems)
            compiled.append(compile_header(name, self._skeleton(text, problems), problems))
        if len(names) > MOST_HEADERS:
            self._problems("headers").add(0, f"A request has at most {MOST_HEADERS} headers.")
        content_type = _CONTENT_TYPES.get(self.template.body_type)
        if content_type is not None and "content-type" not in names:
            skeleton = Skeleton(content_type, {}, {})
            compiled.append(compile_header("Content-Type", skeleton, self._problems("headers")))
        return CompiledHeaders(tuple(compiled), self._drop)

    def _body(self) -> BodyRenderer | None:
        body_type, text = self.template.body_type, self.template.body
        problems = self._problems("body")
        if body_type == BodyType.NONE:
            return None
        if self.template.method == HttpMethod.GET:
            problems.add(0, "GET requests carry no body.")
        if len(text) > LONGEST_BODY_TEMPLATE:
            problems.add(0, f"A body template has at most {LONGEST_BODY_TEMPLATE} characters.")
            return None
        skeleton = self._skeleton(text, problems)
        if body_type == BodyType.FORM:
            return compile_form(skeleton, problems, drop=self._drop).render
        if body_type == BodyType.JSON:
            return partial(render_json, compile_json(skeleton, problems, drop=self._drop))
        return laid_out(skeleton.chunks(0, len(skeleton.text), str, as_text)).fill

    def _authentication(self, headers: CompiledHeaders) -> Authentication | None:
        return compile_authentication(
            self.template.authentication,
            credential_names=self.credential_names,
            headers={header.name.lower() for header in headers.headers},
            errors=self.problems,
        )

    def _check_credentials(self, url: CompiledUrl, authentication: Authentication | None) -> None:
        if url.host_index is not None:
            if self.allowed_hosts:
                return  # the host is known and checked when it is rendered
            message = "Ask an owner to add the hosts that credentials may be sent to."
        elif is_allowed(url.host, url.port, self.allowed_hosts):
            return
        else:
            message = (
                f"Credentials may not be sent to {url.host}: "
                f"ask an owner to add {url.host} to the partner's allowed hosts."
            )
        if authentication is not None:
            self._problems("authentication").add(0, message)
        for skeleton, problems in self.skeletons:
            for hole in skeleton.holes.values():
                if hole.expression is not None and hole.expression.secret:
                    problems.add(hole.position, message)
