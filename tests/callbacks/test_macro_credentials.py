"""Credentials go to their partner's hosts and are seen by nobody."""

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbacks.callbacks.macros import (
    FILTERS,
    BodyType,
    CompiledRequest,
    RenderError,
    RequestTemplate,
    TemplateError,
    compile_request,
)
from postbacks.callbacks.macros.filters import FOR_SECRETS
from postbacks.values.rule_choices import MissingValues

NAMES = ("api_key", "secret", "host")


def compiled(
    url: str,
    *,
    allowed: tuple[str, ...] = ("ads.example.com",),
    headers: dict[str, str] | None = None,
    body: str = "",
) -> CompiledRequest:
    template = RequestTemplate(
        method="POST" if body else "GET",
        url=url,
        headers=headers or {},
        body_type=BodyType.JSON if body else BodyType.NONE,
        body=body,
    )
    return compile_request(template, credential_names=NAMES, allowed_hosts=allowed)


def test_a_credential_is_on_the_wire_and_masked_in_what_is_shown() -> None:
    request = compiled(
        "https://ads.example.com/{{credential.api_key}}?k={{credential.api_key}}&e={{event_name}}",
        headers={"Authorization": "Bearer {{credential.api_key}}"},
        body='{"k": {{credential.api_key}}, "s": "{{credential.api_key}}"}',
    )

    rendering = request.render({"event_name": "open"}, credentials={"api_key": "p4ss/w"})

    assert rendering.request.url == "https://ads.example.com/p4ss%2Fw?k=p4ss%2Fw&e=open"
    assert rendering.request.headers["Authorization"] == "Bearer p4ss/w"
    assert rendering.request.body == b'{"k":"p4ss/w","s":"p4ss/w"}'
    assert rendering.redacted.url == "https://ads.example.com/•••?k=•••&e=open"
    assert rendering.redacted.headers["Authorization"] == "Bearer •••"
    assert rendering.redacted.body == '{"k":"•••","s":"•••"}'.encode()
    assert request.macros == {"credential.api_key", "event_name"}


def test_a_customer_id_with_hyphens_or_blanks_can_be_sent_without() -> None:
    """Complaint 40: a secret is kept as it was entered; the rule says what the partner wants."""
    request = compiled(
        "https://ads.example.com/{{credential.api_key|nohyphen}}?k={{credential.api_key|trim}}"
    )

    rendering = request.render({}, credentials={"api_key": "123-456-7890\n"})

    assert rendering.request.url == "https://ads.example.com/1234567890%0A?k=123-456-7890"
    assert rendering.redacted.url == "https://ads.example.com/•••?k=•••"


def test_a_credential_is_masked_in_a_user_agent_too() -> None:
    request = compiled(
        "https://ads.example.com/", headers={"User-Agent": "{{credential.api_key}} {{user_agent}}"}
    )

    rendering = request.render({"user_agent": "Gem/4"}, credentials={"api_key": "p4ssword"})

    assert rendering.request.headers == {"User-Agent": "p4ssword Gem/4"}
    assert rendering.redacted.headers == {"User-Agent": "••• Gem/4"}


def test_a_signature_made_with_a_credential_is_masked_too() -> None:
    request = compiled('https://ads.example.com/?s={{idfa|hmac_sha256:"secret"}}')
    expected = hmac.new(b"k", b"ID", hashlib.sha256).hexdigest()

    rendering = request.render({"idfa": "ID"}, credentials={"secret": "k"})

    assert rendering.request.url == f"https://ads.example.com/?s={expected}"
    assert rendering.redacted.url == "https://ads.example.com/?s=•••"
    assert request.macros == {"idfa", "credential.secret"}


def test_people_cannot_tell_whether_a_credential_has_a_value() -> None:
    request = compiled("https://ads.example.com/?k={{credential.api_key|truncate:3}}")

    without, with_one = request.render({}), request.render({}, credentials={"api_key": "s3cr3t"})

    assert without.request.url == "https://ads.example.com/?k="
    assert with_one.request.url == "https://ads.example.com/?k=s3c"
    assert without.redacted == with_one.redacted
    assert without.missing == with_one.missing == ()


@pytest.mark.parametrize(
    "filter_use", ['map:"S=1"', 'bool:"1,0"', "int", "round:2", "unix", "raw", 'date:"%Y"']
)
def test_a_filter_that_would_tell_a_credential_bit_by_bit_is_refused(filter_use: str) -> None:
    with pytest.raises(TemplateError, match="can't be used on a credential"):
        compiled(f"https://ads.example.com/?k={{{{credential.api_key|truncate:1|{filter_use}}}}}")


def test_what_a_credential_became_is_known_so_that_answers_can_be_masked() -> None:
    request = compiled("https://ads.example.com/?k={{credential.api_key|md5}}&i={{idfa}}")

    rendering = request.render({"idfa": "an-id"}, credentials={"api_key": "s3cr3t"})

    assert rendering.secrets == (hashlib.md5(b"s3cr3t").hexdigest(),)  # noqa: S324  # as asked for


def test_a_required_credential_is_taken_to_be_there_until_credentials_are_given() -> None:
    request = compiled("https://ads.example.com/?k={{credential.api_key!}}")

    assert request.missing_required({}) is None
    assert request.missing_required({}, credentials={}) == "credential.api_key"


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("https://ads.example.com/", "ads.example.com"),
        ("https://ADS.example.com/", "Ads.Example.com"),
        ("https://ads.example.com/", "*.example.com"),
        ("https://a.b.example.com/", "*.example.com"),
        ("https://ads.example.com/", "ads.example.com:443"),
        ("http://127.0.0.1:9000/", "127.0.0.1"),
        ("http://127.0.0.1:9000/", "127.0.0.1:9000"),
        ("http://[::1]:9000/", "[::1]:9000"),
    ],
)
def test_an_allowed_host_gets_credentials(url: str, allowed: str) -> None:
    assert compiled(url + "?k={{credential.api_key}}", allowed=(allowed,)).macros


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("https://evil.example.com/", "ads.example.com"),
        ("https://example.com/", "*.example.com"),
        ("https://adsXexample.com/", "ads.example.com"),
        ("https://ads.example.com.evil.com/", "ads.example.com"),
        ("https://evilexample.com/", "*.example.com"),
        ("https://ads.example.com:8443/", "ads.example.com:443"),
        ("https://ads.example.com/", "*"),
        ("https://ads.example.com/", ""),
    ],
)
def test_another_host_can_not_be_saved(url: str, allowed: str) -> None:
    with pytest.raises(TemplateError, match="ask an owner to add"):
        compiled(url + "?k={{credential.api_key}}", allowed=(allowed,))


def test_a_signature_counts_as_a_credential_for_the_allowed_hosts() -> None:
    with pytest.raises(TemplateError, match=r"ask an owner to add evil\.example\.com"):
        compiled('https://evil.example.com/?s={{idfa|hmac_sha256:"secret"}}')


def test_a_mistyped_credential_is_suggested() -> None:
    with pytest.raises(TemplateError) as error:
        compiled("https://ads.example.com/?k={{credential.api_kye}}")

    assert error.value.problems[0].suggestion == "credential.api_key"


def test_a_host_can_be_a_credential() -> None:
    request = compiled("https://{{credential.host}}/p?e={{event_name}}", allowed=("*.example.com",))

    rendering = request.render({"event_name": "e"}, credentials={"host": "eu.example.com:8443"})

    assert request.host == ""
    assert rendering.request.url == "https://eu.example.com:8443/p?e=e"
    assert rendering.redacted.url == "https://•••/p?e=e"


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.com/x",
        "a@b.com",
        "a.com?x",
        "a.com#",
        "a.com\\",
        "a.com:99999",
        "a.com:x",
        "a b",
        "é",
    ],
)
def test_a_credential_that_is_no_plain_host_is_not_sent(host: str) -> None:
    request = compiled("https://{{credential.host}}/p", allowed=("*.com",))

    with pytest.raises(RenderError) as error:
        request.render({}, credentials={"host": host})

    assert error.value.code == "bad_host"
    assert "evil" not in str(error.value)


def test_a_credential_host_must_be_allowed_when_it_is_rendered() -> None:
    request = compiled("https://{{credential.host}}/p")

    with pytest.raises(RenderError, match="host_not_allowed"):
        request.render({}, credentials={"host": "evil.example.com"})


@pytest.mark.parametrize(
    "authority",
    [
        "{{credential.host|lower}}",
        "{{credential.host}}.example.com",
        "x.{{credential.host}}",
        "{{credential.host}}:80",
        "{{credential.api_key}}",
        "{{credential.host||'x.com'}}",
    ],
)
def test_only_the_bare_credential_host_may_be_a_host(authority: str) -> None:
    with pytest.raises(TemplateError, match="can't stand in the scheme, host or port"):
        compiled(f"https://{authority}/")


def test_a_host_credential_needs_allowed_hosts() -> None:
    with pytest.raises(TemplateError, match="Ask an owner"):
        compiled("https://{{credential.host}}/", allowed=())


def test_an_error_of_rendering_never_holds_the_credential() -> None:
    request = compiled("https://ads.example.com/", headers={"X-Key": "{{credential.api_key}}"})

    with pytest.raises(RenderError) as error:
        request.render({}, credentials={"api_key": "s3cr3t" * 1_000})

    assert "s3cr3t" not in str(error.value) + error.value.detail


CHAINS = st.lists(
    st.sampled_from(
        [text_filter.example for text_filter in FILTERS.values() if text_filter.name in FOR_SECRETS]
    ),
    max_size=4,
)


@given(chain=CHAINS, key=st.text("0123456789abcdef", min_size=24, max_size=40))
def test_no_chain_of_filters_shows_a_credential(chain: list[str], key: str) -> None:
    macro = "{{" + "|".join(["credential.api_key", *chain]) + "}}"
    request = compiled(
        f"https://ads.example.com/{macro}?q={macro}",
        headers={"X-Key": macro},
        body=f'{{"a": {macro}, "b": "{macro}"}}',
    )

    rendering = request.render({}, credentials={"api_key": key, "secret": key[::-1]})

    redacted = rendering.redacted
    text = f"{redacted.url} {redacted.headers} {(redacted.body or b'').decode()}"
    assert not any(key[at : at + 8] in text for at in range(len(key) - 8))
    assert redacted.url == "https://ads.example.com/•••?q=•••"
    assert redacted.headers["X-Key"] == "•••"


def _first_digit(key: str) -> str:
    return hmac.new(key.encode(), b"msg", hashlib.sha256).hexdigest()[0]


ONE_KEY = "k1"
OTHER_KEY = next(
    key for key in map(str, range(100)) if _first_digit(key) not in (_first_digit(ONE_KEY), "0")
)
DIGIT = _first_digit(ONE_KEY)
SIGNED = "'msg'|hmac_sha256:\"secret\""
TELLING = [
    f'{SIGNED}|truncate:1|map:"{DIGIT}=1"',
    f'{SIGNED}|truncate:1|map:"{DIGIT}=1"|default:"none"',
    f'{SIGNED}|truncate:1|map:"{DIGIT}=1"!',
    f'{SIGNED}|truncate:1|map:"{DIGIT}=#"|raw',
    f'{SIGNED}|truncate:1|map:"{DIGIT}=/"|raw',
    f'{SIGNED}|truncate:1|map:"{DIGIT}=.."',
    f'{SIGNED}|truncate:1|map:"{DIGIT}="|raw',
    f'{SIGNED}|truncate:1|bool:"yes,no"',
    f"{SIGNED}|truncate:1|int",
    f"{SIGNED}|truncate:2|round:1",
    f"{SIGNED}|truncate:1|unix",
    f'{SIGNED}|truncate:4|date:"%Y"',
    f"{SIGNED}|truncate:1|raw",
    f"{SIGNED}|raw",
    f'{SIGNED}|truncate:1|map:"{DIGIT}=1,{_first_digit(OTHER_KEY)}=2"|cents',
    'credential.secret|hmac_sha256:"secret"|truncate:1|default:"none"',
    "credential.secret|truncate:1",
    "credential.secret|sha256|truncate:3",
    "credential.secret|nohyphen|trim",
    "credential.absent||credential.secret|truncate:2",
    "idfa||credential.secret|md5|truncate:1",
]


def _all_that_shows(
    macro: str, secret: str, *, missing_values: MissingValues = MissingValues.EMPTY, pad: int = 0
) -> list[object]:
    """Return what people may see of requests that hold a macro in each place."""
    at = "https://ads.example.com"
    places = [
        {"url": f"{at}/a/{macro}/b"},
        {"url": f"{at}/a?k={macro}&p={'x' * pad}"},
        {"url": at, "headers": {"X-Key": macro + "x" * pad}},
        {"url": at, "headers": {"User-Agent": macro}},
        {"url": at, "method": "POST", "body_type": BodyType.FORM, "body": f"k={macro}"},
        {"url": at, "method": "POST", "body_type": BodyType.JSON, "body": f'{{"k": {macro}}}'},
        {"url": at, "method": "POST", "body_type": BodyType.JSON, "body": f'["<{macro}>"]'},
        {"url": at, "method": "POST", "body_type": BodyType.RAW, "body": f"-{macro}-"},
    ]
    seen: list[object] = []
    for place in places:
        request = compile_request(
            RequestTemplate(missing_values=missing_values, **place),  # type: ignore[arg-type]  # a table
            credential_names=("secret", "absent"),
            allowed_hosts=("ads.example.com",),
        )
        seen.append(request.missing_required({}))
        try:
            rendering = request.render({}, credentials={"secret": secret})
        except RenderError as error:
            seen.append(str(error))
        else:
            seen += [rendering.redacted, rendering.missing, rendering.has_pieces]
    return seen


@pytest.mark.parametrize("chain", TELLING)
def test_nothing_that_people_see_depends_on_what_a_credential_is(chain: str) -> None:
    macro = f"{{{{{chain}}}}}"

    for missing in MissingValues:
        seen = [
            _all_that_shows(macro, secret, missing_values=missing)
            for secret in (ONE_KEY, OTHER_KEY, "", "-", "7", "..", "x" * 300, "ключ-☃")
        ]

        assert all(each == seen[0] for each in seen)


@pytest.mark.parametrize(
    "chain", ["credential.secret", "credential.secret|base64|base64|urlencode"]
)
@pytest.mark.parametrize("pad", [4_050, 4_090, 8_130, 8_157])
def test_a_limit_of_length_does_not_tell_how_long_a_credential_is(chain: str, pad: int) -> None:
    seen = [
        _all_that_shows(f"{{{{{chain}}}}}", "x" * length, pad=pad)
        for length in (1, 39, 40, 41, 200, 4_096)
    ]

    assert all(each == seen[0] for each in seen)


@pytest.mark.parametrize("missing_values", [MissingValues.EMPTY, MissingValues.DROP])
def test_whether_a_url_fits_does_not_depend_on_a_credential(missing_values: MissingValues) -> None:
    template = RequestTemplate(
        url="https://ads.example.com/?k={{credential.api_key}}&n={{event_name}}&c={{country}}",
        missing_values=missing_values,
    )
    request = compile_request(template, credential_names=NAMES, allowed_hosts=("ads.example.com",))
    long_name = {"event_name": "n" * 6_000}

    url = request.render(long_name, credentials={"api_key": "k" * 4_096}).request.url

    assert len(url) > 8_192
    with pytest.raises(RenderError, match="too_large"):
        request.render({"event_name": "n " * 4_096}, credentials={"api_key": "k"})


def test_a_missing_value_is_still_named_where_no_credential_decides_it() -> None:
    request = compiled('https://ads.example.com/?s={{idfa|lower|hmac_sha256:"secret"}}')

    without = request.render({}, credentials={"secret": "k"})

    assert "idfa" in without.missing
    assert without.redacted.url == "https://ads.example.com/?s="
    assert request.missing_required({}) is None


@pytest.mark.parametrize(
    ("chain", "is_piece"),
    [
        ("credential.secret", False),
        ("credential.secret|trim|base64|sha256", False),
        ("credential.secret|truncate:3", True),
        ("credential.secret|truncate:40", True),
        ("credential.secret|truncate:255", False),
        ("credential.secret|sha256|truncate:3", True),
        ("credential.secret|truncate:3|sha256", True),
        ('idfa|hmac_sha256:"secret"|truncate:16', False),
        ('idfa|truncate:3|hmac_sha256:"secret"', False),
        ('idfa|hmac_sha256:"secret"|upper|truncate:7', True),
        ('idfa|hmac_sha256:"secret"|int', True),
        ("idfa|truncate:3", False),
    ],
)
def test_a_piece_of_a_credential_is_known_as_one(chain: str, is_piece: bool) -> None:
    assert compiled(f"https://ads.example.com/?k={{{{{chain}}}}}").has_pieces is is_piece
