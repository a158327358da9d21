"""Requests that prove who sends them, with credentials that nobody sees."""

import base64
import hashlib
import hmac

import pytest

from postbacks.callbacks.macros import (
    BodyType,
    CompiledRequest,
    RenderError,
    RequestTemplate,
    TemplateError,
    compile_request,
)

CREDENTIALS = {"api_key": "p4ss/w", "login": "gem", "key": "s3cret"}
BODY = '{"event": "{{event_name}}"}'


def compiled(
    authentication: dict[str, str],
    *,
    url: str = "https://ads.example.com/p?e={{event_name}}",
    headers: dict[str, str] | None = None,
) -> CompiledRequest:
    template = RequestTemplate(
        method="POST",
        url=url,
        headers=headers or {},
        body_type=BodyType.JSON,
        body=BODY,
        authentication=authentication,
    )
    return compile_request(
        template, credential_names=tuple(CREDENTIALS), allowed_hosts=["ads.example.com"]
    )


def places(authentication: dict[str, str], **more: object) -> list[str]:
    with pytest.raises(TemplateError) as refused:
        compiled(authentication, **more)  # type: ignore[arg-type]  # a test's shorthand
    return [problem.field for problem in refused.value.problems]


@pytest.mark.parametrize(
    ("authentication", "header", "sent", "redacted"),
    [
        (
            {"type": "bearer", "credential": "api_key"},
            "Authorization",
            "Bearer p4ss/w",
            "Bearer •••",
        ),
        (
            {"type": "basic", "user": "login", "password": "key"},
            "Authorization",
            "Basic Z2VtOnMzY3JldA==",
            "Basic •••",
        ),
        (
            {"type": "header", "header": "X-Api-Key", "credential": "api_key"},
            "X-Api-Key",
            "p4ss/w",
            "•••",
        ),
    ],
)
def test_a_header_made_of_credentials_is_on_the_wire_and_masked_in_what_is_shown(
    authentication: dict[str, str], header: str, sent: str, redacted: str
) -> None:
    rendering = compiled(authentication).render({"event_name": "open"}, credentials=CREDENTIALS)

    assert rendering.request.headers[header] == sent
    assert rendering.redacted.headers[header] == redacted
    assert any(secret in sent for secret in rendering.secrets)


@pytest.mark.parametrize("algorithm", ["sha256", "sha1", "md5"])
@pytest.mark.parametrize("over", ["body", "url"])
@pytest.mark.parametrize("encoding", ["hex", "base64"])
def test_a_signature_is_that_of_the_body_or_of_the_url(
    algorithm: str, over: str, encoding: str
) -> None:
    request = compiled(
        {
            "type": "hmac",
            "header": "X-Signature",
            "credential": "key",
            "over": over,
            "algorithm": algorithm,
            "encoding": encoding,
        }
    )

    rendering = request.render({"event_name": "open"}, credentials=CREDENTIALS)

    signed = {"body": b'{"event":"open"}', "url": b"https://ads.example.com/p?e=open"}[over]
    assert rendering.request.body == b'{"event":"open"}'
    digest = hmac.new(b"s3cret", signed, getattr(hashlib, algorithm)).digest()
    expected = {"hex": digest.hex(), "base64": base64.b64encode(digest).decode()}[encoding]
    assert rendering.request.headers["X-Signature"] == expected
    assert rendering.redacted.headers["X-Signature"] == "•••"


@pytest.mark.parametrize(
    ("authentication", "field"),
    [
        ({"type": "barer"}, "type"),
        ({"type": "bearer"}, "credential"),
        ({"type": "bearer", "credential": "apikey"}, "credential"),
        ({"type": "bearer", "credential": "api_key", "user": "login"}, "user"),
        ({"type": "none", "credential": "api_key"}, "credential"),
        ({"type": "basic", "user": "login"}, "password"),
        ({"type": "header", "credential": "api_key"}, "header"),
        ({"type": "header", "header": "Host", "credential": "api_key"}, "header"),
        ({"type": "header", "header": "user-agent", "credential": "api_key"}, "header"),
        ({"type": "hmac", "header": "X-Forwarded-For", "credential": "api_key"}, "header"),
        ({"type": "header", "header": "Webhook-Signature", "credential": "key"}, "header"),
        ({"type": "hmac", "header": "X-S", "credential": "key", "over": "all"}, "over"),
        ({"type": "hmac", "header": "X-S", "credential": "key", "algorithm": "crc"}, "algorithm"),
    ],
)
def test_what_can_not_prove_anything_is_named_by_its_place(
    authentication: dict[str, str], field: str
) -> None:
    assert places(authentication) == [f"authentication.{field}"]


def test_a_header_can_not_be_written_twice() -> None:
    twice = {"authorization": "Bearer x"}

    assert places({"type": "bearer", "credential": "api_key"}, headers=twice) == [
        "authentication.header"
    ]


def test_credentials_go_to_allowed_hosts_only() -> None:
    bearer = {"type": "bearer", "credential": "api_key"}

    assert places(bearer, url="https://elsewhere.example.com/") == ["authentication"]


@pytest.mark.parametrize("credential", ["", "line\nbreak", "schlüssel"])
def test_a_credential_that_can_not_stand_in_a_header_is_not_sent(credential: str) -> None:
    request = compiled({"type": "bearer", "credential": "api_key"})

    with pytest.raises(RenderError) as refused:
        request.render({}, credentials={"api_key": credential})
    assert not credential or credential not in str(refused.value)
