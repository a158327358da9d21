"""Whatever a template says, it can't send what its rule may not disclose, in any encoding."""

import base64
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from decimal import Decimal
from itertools import chain
from urllib.parse import quote, unquote

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from postbacks.callbacks.currency.conversion import DayRates
from postbacks.callbacks.facts import Facts, sample_facts
from postbacks.callbacks.macros import (
    CATALOGUE,
    FILTERS,
    BodyType,
    MacroType,
    RenderError,
    RequestTemplate,
    TemplateError,
    compile_request,
)
from postbacks.callbacks.macros.catalogue import ENDINGS
from postbacks.callbacks.values import macro_values
from postbacks.values.outgoing_request import OutgoingRequest

RATES = DayRates({"EUR": Decimal("1.10"), "JPY": Decimal("0.0065")})

# A value of its own for each field, so that it is known by its sight wherever it comes out.
_IDS = (
    *("advertising_id", "idfa", "idfv", "gaid", "oaid", "amazon_id", "android_id", "app_set_id"),
    *("imei", "web_id", "install_id", "customer_user_id", "adservices_token", "install_referrer"),
    *("user_agent", "device_name", "postal_code", "city"),
)
PERSONAL = {
    **{name: f"Qx{number:02}-Zy{number * 7919:06}-ÄPers" for number, name in enumerate(_IDS)},
    "ip_address": "203.0.113.77",
}
IN_PARAMS = {
    "mail": "anna.qx@example.com",
    "Phone": "+380441234567",
    "deep": {"list": ["Qx-in-a-list", {"idfa": "Qx-idfa-in-params"}]},
    "partner_params": {"user": "Qx-partner-user"},
}
CLICK = {"sub1": "Qx-sub-one", "email": "Qx-mail-of-the-click", "click_id": "c-7f3a91d2"}
SECRETS = (
    *PERSONAL.values(),
    *("203.0.113.0", "anna.qx@example.com", "+380441234567", "Qx-in-a-list"),
    *("Qx-idfa-in-params", "Qx-partner-user", "Qx-sub-one", "Qx-mail-of-the-click"),
)

REVENUE = Decimal("7319.47")
MONEY = (
    *("7319.47", "7319", "7319.5", "731947", "7319470000", "8051.42", "805142", "8051420000"),
    *("5635.994", "5635.99", "1238680", "1238679"),
)


def person() -> Facts:
    sample = sample_facts()
    event = replace(
        sample.event,
        fields={**sample.event.fields, **PERSONAL},
        params={**IN_PARAMS, **PERSONAL, "level": 7},
    )
    return replace(sample, event=event, attribution=replace(sample.attribution, click=CLICK))


def payer() -> Facts:
    sample = sample_facts()
    params = {
        "revenue": "7319.47",
        "cart": [{"Value": REVENUE, "ad_revenue": 7319.47}],
        "order.price": "7319.47",
        "level": 7,
    }
    event = replace(
        sample.event,
        revenue=REVENUE,
        currency="EUR",
        fields={**sample.event.fields, "price": "7319.47"},
        params=params,
    )
    click = {"payout": "7319.47", "sub1": "a"}
    return replace(sample, event=event, attribution=replace(sample.attribution, click=click))


ENDED = [
    name + ending
    for name, macro in CATALOGUE.items()
    for ending, (_, kinds) in ENDINGS.items()
    if macro.type in kinds
]
PATHS = [
    *(f"params.{name}" for name in (*IN_PARAMS, *PERSONAL, "revenue", "level", "cart", "order")),
    *("params.deep.list", "params.deep.list.0", "params.deep.list.1.idfa", "params.cart.0.Value"),
    *("params.partner_params.user", "params.order.price", "params.cart.0.ad_revenue"),
    *(f"click.{name}" for name in (*CLICK, "payout")),
]
NAMES = st.sampled_from([*CATALOGUE, *ENDED, *PATHS])
CALLS = st.sampled_from(
    [each.example for each in FILTERS.values() if not each.name.startswith("hmac")]
    + ["raw", "raw", "truncate:12", "round", 'convert:"JPY"', 'map:"7319.47=paid"']
)


@st.composite
def macros(draw: st.DrawFn) -> str:
    names = draw(st.lists(NAMES, min_size=1, max_size=4))
    calls = draw(st.lists(CALLS, max_size=4))
    return "{{" + "||".join(names) + "".join(f"|{call}" for call in calls) + "}}"


@st.composite
def templates(draw: st.DrawFn) -> RequestTemplate:
    first, second, third, fourth = (draw(macros()) for _ in range(4))
    body_type, body = draw(
        st.sampled_from(
            [
                (BodyType.JSON, f'{{"a": {fourth}, "b": "{first} {second}"}}'),
                (BodyType.FORM, f"a={fourth}&b={first}{second}"),
                (BodyType.RAW, f"{fourth} {first} {second}"),
            ]
        )
    )
    url = f"https://ads.example.com/{first}/x{second}?a={third}&b=1{fourth}"
    return RequestTemplate("POST", url, {"X-A": f"{third} {fourth}", "X-B": first}, body_type, body)


def _sent(sent: OutgoingRequest) -> str:
    headers = (f"{name}: {value}" for name, value in sent.headers.items())
    return "\n".join([sent.url, *headers, (sent.body or b"").decode()])


def _spellings(value: str) -> Iterator[str]:
    for text in {value, value.lower(), value.upper(), value.replace("-", ""), value.strip()}:
        data = text.encode()
        yield text
        yield quote(text, safe="")
        yield base64.b64encode(data).decode().rstrip("=")
        yield base64.urlsafe_b64encode(data).decode().rstrip("=")
        yield data.hex()
        for algorithm in ("md5", "sha1", "sha256"):
            digest = hashlib.new(algorithm, data, usedforsecurity=False)
            yield digest.hexdigest()
            yield base64.b64encode(digest.digest()).decode().rstrip("=")


def _disclosed(values: Iterable[str], sent: str) -> set[str]:
    looks = {sent, unquote(sent), unquote(unquote(sent))}
    everything = "\n".join(looks).lower()
    spellings = chain.from_iterable(map(_spellings, values))
    return {spelling for spelling in spellings if spelling.lower() in everything}


def _rendered(template: RequestTemplate, facts: Facts, **withheld: bool) -> str:
    try:
        request = compile_request(template)
        values = macro_values(facts, rates=RATES, **withheld)
        return _sent(request.render(values, rates=RATES).request)
    except (TemplateError, RenderError):
        return ""


@settings(max_examples=300, deadline=None)
@given(templates())
@example(RequestTemplate("GET", "https://a.com/?a={{idfa|lower|md5}}&b={{params|json|base64}}"))
@example(RequestTemplate("GET", "https://a.com/?a={{customer_user_id||install_id|sha256}}"))
@example(RequestTemplate("GET", "https://a.com/?a={{partner_params_json}}&b={{click|json}}"))
def test_without_consent_no_template_sends_anything_personal(template: RequestTemplate) -> None:
    assert _disclosed(SECRETS, _rendered(template, person(), withhold_personal=True)) == set()


@settings(max_examples=300, deadline=None)
@given(templates())
@example(RequestTemplate("GET", "https://a.com/?a={{params.cart.0.Value|cents}}&b={{payout}}"))
@example(RequestTemplate("GET", "https://a.com/?a={{params|json}}&b={{click|json}}&c={{price}}"))
@example(RequestTemplate("GET", "https://a.com/?a={{params.order.price}}&b={{click.payout|md5}}"))
def test_without_disclosure_no_template_sends_revenue(template: RequestTemplate) -> None:
    assert _disclosed(MONEY, _rendered(template, payer(), withhold_revenue=True)) == set()


@pytest.mark.parametrize("name", [*CATALOGUE, *PATHS])
def test_without_consent_no_macro_alone_sends_anything_personal(name: str) -> None:
    template = RequestTemplate("GET", "https://a.com/?v={{" + name + "}}")

    assert _disclosed(SECRETS, _rendered(template, person(), withhold_personal=True)) == set()


@pytest.mark.parametrize(
    "name",
    [macro.name for macro in CATALOGUE.values() if macro.personal and macro.type == MacroType.TEXT],
)
def test_with_consent_it_would_be_seen(name: str) -> None:
    """This shows that the tests above can find what they look for."""
    template = RequestTemplate("GET", "https://a.com/?v={{" + name + "|sha256|upper}}")

    assert _disclosed(SECRETS, _rendered(template, person()))
