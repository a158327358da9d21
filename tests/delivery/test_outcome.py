import json
import tracemalloc
from base64 import b64encode
from urllib.parse import quote

import pytest

from postbacks.delivery.http.response import MOST_BODY, Reply, TransportFailure, capped_headers
from postbacks.delivery.outcome import AttemptVerdict, Outcome, SuccessRule, judge, parse_success
from postbacks.delivery.redaction import Masker, redacted_response, redacted_text


def verdict(
    status_code: int | None = 200,
    body: bytes = b"",
    *,
    failure: TransportFailure | None = None,
    success: SuccessRule | None = None,
) -> AttemptVerdict:
    return judge(
        status_code=status_code,
        body=body,
        failure=failure,
        detail="What happened.",
        success=success or SuccessRule(),
    )


@pytest.mark.parametrize("status_code", [200, 201, 202, 204, 299])
def test_any_2xx_is_delivered(status_code: int) -> None:
    assert verdict(status_code) == AttemptVerdict(Outcome.DELIVERED)


@pytest.mark.parametrize("status_code", [408, 425, 429, 500, 502, 503, 504, 599])
def test_a_passing_trouble_is_tried_again(status_code: int) -> None:
    judged = verdict(status_code)

    assert (judged.outcome, judged.error) == (Outcome.RETRY, f"http_{status_code}")
    assert str(status_code) in judged.detail


@pytest.mark.parametrize("status_code", [400, 401, 403, 404, 405, 409, 418, 422, 451])
def test_a_mistake_of_ours_fails_at_once(status_code: int) -> None:
    judged = verdict(status_code)

    assert (judged.outcome, judged.error) == (Outcome.FAILED, f"http_{status_code}")
    assert not judged.suspend_rule


@pytest.mark.parametrize("status_code", [300, 301, 302, 303, 304, 307, 308])
def test_a_redirect_fails_at_once(status_code: int) -> None:
    judged = verdict(status_code)

    assert (judged.outcome, judged.error) == (Outcome.FAILED, "redirect")


def test_gone_fails_and_suspends_the_rule() -> None:
    judged = verdict(410)

    assert (judged.outcome, judged.error, judged.suspend_rule) == (Outcome.FAILED, "http_410", True)


@pytest.mark.parametrize(
    "failure",
    [
        TransportFailure.DNS,
        TransportFailure.CONNECT,
        TransportFailure.TLS,
        TransportFailure.TIMEOUT,
        TransportFailure.RESET,
        TransportFailure.PROTOCOL,
    ],
)
def test_without_an_answer_it_is_tried_again(failure: TransportFailure) -> None:
    judged = verdict(None, failure=failure)

    assert judged == AttemptVerdict(Outcome.RETRY, failure.value, "What happened.")


@pytest.mark.parametrize("failure", [TransportFailure.BLOCKED, TransportFailure.INVALID_REQUEST])
def test_what_waiting_cannot_change_fails_at_once(failure: TransportFailure) -> None:
    judged = verdict(None, failure=failure)

    assert judged == AttemptVerdict(Outcome.FAILED, failure.value, "What happened.")


def test_a_2xx_whose_body_never_ended_is_tried_again() -> None:
    judged = verdict(200, b"o", failure=TransportFailure.TIMEOUT)

    assert judged == AttemptVerdict(Outcome.RETRY, "timeout", "What happened.")


@pytest.mark.parametrize(("status_code", "error"), [(302, "redirect"), (404, "http_404")])
def test_a_final_status_stays_final_when_its_body_breaks_off(status_code: int, error: str) -> None:
    judged = verdict(status_code, failure=TransportFailure.RESET)

    assert (judged.outcome, judged.error) == (Outcome.FAILED, error)


def test_listed_codes_replace_2xx() -> None:
    success = parse_success({"codes": ["204", 409]})

    assert verdict(204, success=success).outcome is Outcome.DELIVERED
    assert verdict(409, success=success).outcome is Outcome.DELIVERED
    assert verdict(404, success=success).outcome is Outcome.FAILED


def test_a_2xx_that_the_rule_does_not_list_is_tried_again() -> None:
    judged = verdict(200, success=parse_success({"codes": ["204"]}))

    assert (judged.outcome, judged.error) == (Outcome.RETRY, "http_200")


def test_a_body_without_the_text_is_a_no() -> None:
    success = parse_success({"body_contains": "прийнято"})

    assert verdict(200, "уже прийнято".encode(), success=success).outcome is Outcome.DELIVERED
    judged = verdict(200, b"error", success=success)
    assert (judged.outcome, judged.error) == (Outcome.RETRY, "body_says_no")


@pytest.mark.parametrize(
    ("path", "expected", "document"),
    [
        ("status", "ok", {"status": "ok"}),
        ("data.0.status", "ok", {"data": [{"status": "ok"}]}),
        ("code", 0, {"code": 0}),
        ("code", 1, {"code": 1.0}),
        ("ok", True, {"ok": True}),
        ("error", None, {"error": None}),
        ("0", "x", {"0": "x"}),
    ],
)
def test_a_json_path_that_equals_is_a_yes(path: str, expected: object, document: object) -> None:
    success = parse_success({"json_path": path, "json_equals": expected})

    judged = verdict(200, json.dumps(document).encode(), success=success)

    assert judged.outcome is Outcome.DELIVERED


@pytest.mark.parametrize(
    ("path", "expected", "body"),
    [
        ("status", "ok", b'{"status": "error"}'),
        ("status", "ok", b"{}"),
        ("status", "ok", b""),
        ("status", "ok", b"<html>"),
        ("status", "ok", b'{"status": "ok"'),
        ("status", "ok", b"\xff\xfe\xfd"),
        ("code", 1, b'{"code": true}'),
        ("code", 1, b'{"code": "1"}'),
        ("ok", False, b'{"ok": 0}'),
        ("data.3", "x", b'{"data": ["x"]}'),
        ("data.-1", "x", b'{"data": ["x"]}'),
        ("status.ok", "x", b'{"status": "ok"}'),
        ("error", None, b"{}"),
        ("a", 1, b"[" * 65_536),
        ("a", 1, b'{"a": ' + b"9" * 5_000 + b"}"),
    ],
)
def test_any_other_json_is_a_no(path: str, expected: object, body: bytes) -> None:
    success = parse_success({"json_path": path, "json_equals": expected})

    judged = verdict(200, body, success=success)

    assert (judged.outcome, judged.error) == (Outcome.RETRY, "body_says_no")


def test_text_and_path_must_both_hold() -> None:
    success = parse_success({"body_contains": "ok", "json_path": "n", "json_equals": 1})

    assert verdict(200, b'{"n": 1, "s": "ok"}', success=success).outcome is Outcome.DELIVERED
    assert verdict(200, b'{"n": 1}', success=success).outcome is Outcome.RETRY
    assert verdict(200, b'{"s": "ok"}', success=success).outcome is Outcome.RETRY


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"codes": ["2xx"]},
        {"codes": None, "body_contains": "", "json_path": "", "json_equals": None},
        {"codes": ["2XX"], "body_contains": None, "json_path": None, "json_equals": None},
    ],
)
def test_what_is_left_empty_means_the_default(data: dict[str, object]) -> None:
    assert parse_success(data) == SuccessRule()


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({"code": ["2xx"]}, "code"),
        ({"codes": "2xx"}, "codes"),
        ({"codes": []}, "codes"),
        ({"codes": {"2xx": 1}}, "codes"),
        ({"codes": ["ok"]}, "codes"),
        ({"codes": ["1xx"]}, "codes"),
        ({"codes": [20]}, "codes"),
        ({"body_contains": 7}, "body_contains"),
        ({"body_contains": "x" * 1025}, "body_contains"),
        ({"json_path": "$..status", "json_equals": 1}, "json_path"),
        ({"json_path": "data[0]", "json_equals": 1}, "json_path"),
        ({"json_path": "a..b", "json_equals": 1}, "json_path"),
        ({"json_path": "a b", "json_equals": 1}, "json_path"),
        ({"json_path": ".".join("a" * 17), "json_equals": 1}, "json_path"),
        ({"json_path": "status"}, "json_equals"),
        ({"json_equals": "ok"}, "json_equals"),
        ({"json_path": "a", "json_equals": ["ok"]}, "json_equals"),
    ],
)
def test_a_wrong_rule_names_the_field(data: dict[str, object], field: str) -> None:
    with pytest.raises(ValueError, match=field):
        parse_success(data)


MARKED = parse_success(
    {
        "json_path": "code",
        "json_equals": 0,
        "final": [
            {"json_path": "code", "equals": [40105, "E7", True]},
            {"json_path": "data.0.state", "equals": [None]},
            "bad token",
        ],
        "retry": [{"json_path": "code", "equals": [40100]}, {"body_contains": "rate limit"}],
    }
)


@pytest.mark.parametrize(
    ("status", "body", "outcome", "error", "detail"),
    [
        (200, '{"code": 0}', "delivered", None, ""),
        (
            200,
            '{"code": 40105, "message": "wrong\\n token"}',
            "failed",
            "body_is_final",
            "wrong token",
        ),
        (200, '{"code": "40105"}', "failed", "body_is_final", "code 40105"),
        (200, '{"code": 40105.0}', "failed", "body_is_final", "code 40105"),
        (200, '{"code": "E7"}', "failed", "body_is_final", "code E7"),
        (200, '{"code": true}', "failed", "body_is_final", "code true"),
        (200, '{"code": 1}', "retry", "body_says_no", ""),
        (200, '{"code": "True"}', "retry", "body_says_no", ""),
        (200, '{"code": 401050}', "retry", "body_says_no", ""),
        (200, '{"data": [{"state": null, "msg": "gone"}]}', "failed", "body_is_final", "gone"),
        (200, "a bad token, you see", "failed", "body_is_final", "“bad token”"),
        (200, '{"code": 0, "x": "bad token"}', "failed", "body_is_final", "bad token"),
        (200, '{"code": 40100}', "retry", "body_says_retry", "code 40100"),
        (200, '{"code": 40105, "m": "rate limit"}', "failed", "body_is_final", "code 40105"),
        (200, "no JSON", "retry", "body_says_no", ""),
        (200, "[" * 100_000, "retry", "body_says_no", ""),
        (200, "", "retry", "body_says_no", ""),
        (
            400,
            "rate limit exceeded",
            "retry",
            "body_says_retry",
            "400 and said no for now",
        ),
        (403, '{"code": 40100}', "retry", "body_says_retry", "code 40100"),
        (400, '{"code": 1}', "failed", "http_400", ""),
        (503, '{"code": 40105}', "failed", "body_is_final", "503 and said no for good"),
        (503, "busy", "retry", "http_503", ""),
        (429, "bad token", "failed", "body_is_final", "bad token"),
        (410, "rate limit", "failed", "http_410", ""),
        (302, "rate limit", "failed", "redirect", ""),
        (None, "", "retry", "timeout", ""),
    ],
)
def test_a_no_in_the_body_is_for_good_or_for_now(
    status: int | None, body: str, outcome: str, error: str | None, detail: str
) -> None:
    """Complaint 28."""
    judged = judge(
        status_code=status,
        body=body.encode(),
        failure="timeout" if status is None else None,
        detail="",
        success=MARKED,
    )

    assert (judged.outcome, judged.error) == (outcome, error)
    assert detail in judged.detail


def test_a_no_counts_where_any_2xx_would_be_a_success() -> None:
    success = parse_success({"final": ["invalid"], "retry": [{"body_contains": "later"}]})

    verdicts = [
        judge(status_code=200, body=body, failure=None, detail="", success=success).outcome
        for body in (b"ok", b"invalid", b"later", b"later invalid")
    ]

    assert verdicts == ["delivered", "failed", "retry", "failed"]


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({"final": "bad token"}, "final must be a list"),
        ({"retry": [{}]}, "retry: write each answer as in"),
        ({"final": [7]}, "final: write each answer as in"),
        ({"final": [{"json_path": "code"}]}, "final: write each answer as in"),
        ({"final": [{"json_path": "code", "equals": [], "x": 1}]}, "final: write each"),
        ({"final": [{"json_path": "code", "equals": []}]}, "equals must be a list of 1 to 50"),
        ({"final": [{"json_path": "code", "equals": [[1]]}]}, "equals may hold text"),
        ({"final": [{"json_path": "$.*", "equals": [1]}]}, "names and indexes joined by dots"),
        ({"final": [{"json_path": "a", "equals": ["x" * 1025]}]}, "at most 1024 characters"),
        ({"final": [""]}, "a text or a json_path is needed"),
        ({"final": ["x"] * 21}, "at most 20 answers"),
        ({"final": [{"body_contains": "x", "equals": [1]}]}, "final: write each answer"),
    ],
)
def test_a_wrong_no_is_refused_with_its_place(data: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=r"^(final|retry)") as refusal:
        parse_success(data)

    assert sentence in str(refusal.value)


def test_a_no_that_echoes_a_credential_is_logged_without_it() -> None:
    body = b'{"code": 40105, "message": "token s3cret/t0ken is wrong"}'
    judged = judge(status_code=200, body=body, failure=None, detail="", success=MARKED)

    logged = redacted_text(judged.detail, ("s3cret/t0ken",))

    assert "s3cret" in judged.detail
    assert logged.endswith("code 40105, token ••• is wrong.")


SECRET = "s3cret/t0ken"
# What a partner may make of a credential that it repeats.
ECHOES = [
    SECRET,
    quote(SECRET, safe=""),
    quote(SECRET, safe="").lower(),
    quote(quote(SECRET, safe=""), safe=""),
    SECRET.upper(),
    SECRET.replace("/", "\\/"),
    b64encode(SECRET.encode()).decode(),
    SECRET.encode().hex(),
    "\x00".join(SECRET),
]


@pytest.mark.parametrize("echo", ECHOES)
def test_no_condition_reads_a_credential_that_is_echoed_letter_by_letter(echo: str) -> None:
    body = (
        json.dumps({"code": 1, "k": {"is": echo}, f"<{echo}>": 2}).encode()
        + b" k="
        + (echo.encode())
    )
    start, wrong = echo[:5], "zzzzz"
    document = json.dumps({"code": 1, "k": {"is": echo}, echo: 2}).encode()

    def outcomes(guess: str) -> list[str | None]:
        texts: list[tuple[bytes, dict[str, object]]] = [
            (body, {"body_contains": f"k={guess}"}),
            (body, {"final": [f"k={guess}"]}),
            (body, {"retry": [{"body_contains": f"k={guess}"}]}),
            (document, {"json_path": "k.is", "json_equals": guess + echo[5:]}),
            (document, {"final": [{"json_path": "k.is", "equals": [guess + echo[5:]]}]}),
        ]
        if "." not in echo and "\x00" not in echo:
            path = guess + echo[5:]
            texts.append((document, {"json_path": path, "json_equals": 2}))
        return [
            judge(
                status_code=200,
                body=answer,
                failure=None,
                detail="",
                success=parse_success(success),
                masker=Masker((SECRET,)),
            ).error
            for answer, success in texts
        ]

    assert outcomes(start) == outcomes(wrong)


def test_conditions_read_the_rest_of_an_answer_that_echoes_a_credential() -> None:
    body = json.dumps({"ok": True, "id": 12345678, "token": "1234"}).encode()

    def error(success: dict[str, object]) -> str | None:
        masker = Masker(("1234",))
        return judge(
            status_code=200,
            body=body,
            failure=None,
            detail="",
            success=parse_success(success),
            masker=masker,
        ).error

    assert error({"json_path": "ok", "json_equals": True}) is None
    assert error({"body_contains": '"ok": true'}) is None
    assert error({"json_path": "id", "json_equals": 12345678}) == "body_says_no"


def test_the_end_of_a_cut_body_is_not_read_where_half_a_credential_may_stand() -> None:
    body = b"x" * (MOST_BODY - 5) + SECRET[:5].encode()

    verdict = judge(
        status_code=200,
        body=body,
        failure=None,
        detail="",
        success=parse_success({"body_contains": SECRET[:4]}),
        masker=Masker((SECRET,)),
        is_cut=True,
    )

    assert verdict.error == "body_says_no"


def test_a_reason_is_masked_before_it_is_cut() -> None:
    body = json.dumps({"code": 40105, "message": "x" * 195 + SECRET}).encode()

    verdict = judge(
        status_code=200,
        body=body,
        failure=None,
        detail="",
        success=MARKED,
        masker=Masker((SECRET,)),
    )

    assert "s3cre" not in verdict.detail


@pytest.mark.parametrize("pad", [0, 100, 4_090, 8_140, 8_152, 8_180, 8_192, 20_000, 65_500])
@pytest.mark.parametrize("form", ["{0}", "{0},{0},{0}"])
def test_what_is_shown_of_an_echo_does_not_tell_how_long_a_credential_is(
    pad: int, form: str
) -> None:
    def shown(secret: str) -> dict[str, object]:
        echo = ("x" * pad + form.format(secret)) if pad else ",".join([secret] * 3_000)
        reply = Reply(
            200,
            capped_headers([("X-Echo", echo)]),
            echo.encode()[:MOST_BODY],
            truncated=len(echo) > MOST_BODY,
        )
        return redacted_response(reply, (secret,))

    one, *others = [shown("Aa" * half) for half in (10, 19, 20, 21, 100)]

    assert all(other == one for other in others)


@pytest.mark.parametrize("echo", ECHOES[:-1])
def test_an_echo_is_masked_in_headers_their_names_and_body(echo: str) -> None:
    reply = Reply(200, {f"X-{echo}": f"is {echo}"}, f"is {echo}!".encode())

    assert redacted_response(reply, (SECRET,)) == {
        "headers": {"X-•••": "is •••"},
        "body": "is •••!",
    }


def test_a_short_credential_is_masked_where_it_is_a_word() -> None:
    reply = Reply(200, {"X-Id": "abc"}, b"abc abcd xabc k=abc&")

    assert redacted_response(reply, ("abc",)) == {
        "headers": {"X-Id": "•••"},
        "body": "••• abcd xabc k=•••&",
    }


@pytest.mark.parametrize(("length", "count"), [(4_000, 300), (100_000, 40)])
def test_long_texts_made_of_credentials_are_not_kept(length: int, count: int) -> None:
    reply = Reply(200, {}, b"ok")
    tracemalloc.start()
    try:
        for number in range(count):
            redacted_response(reply, (f"{number}" + "Aa+/" * (length // 4),))
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 100 * length
