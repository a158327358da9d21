"""The pages, filters and searches of a generated load, timed: `python -m tests.bench.pages`.

It runs in a process of its own, on the database that DATABASE_URL names, and prints JSON: the
milliseconds of each page, by its name.
"""

import hashlib
import json
import sys
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from urllib.parse import urlencode
from uuid import UUID

import django

django.setup()

from django import forms  # noqa: E402  # what follows needs Django set up
from django.contrib import admin  # noqa: E402
from django.db import models  # noqa: E402
from django.test import Client  # noqa: E402
from django.urls import reverse  # noqa: E402

from apps_registry.crypto import keys  # noqa: E402
from apps_registry.models import ApiToken, App, Campaign, Partner, TrackingLink, User  # noqa: E402
from apps_registry.roles import Role  # noqa: E402
from apps_registry.tenancy import tenant  # noqa: E402
from postbacks.admin.logs.base import LogAdmin  # noqa: E402
from postbacks.api.pagination import link_after  # noqa: E402
from postbacks.demo.generated_load.organizations import (  # noqa: E402
    OWNER,
    generated_organizations,
)
from postbacks.insights.keyset import KeysetPosition  # noqa: E402
from postbacks.insights.overview.asked import PRESETS  # noqa: E402
from postbacks.models import (  # noqa: E402
    CallbackRule,
    DeliveryAttempt,
    Event,
    Install,
    Postback,
    Touchpoint,
)

M = TypeVar("M", bound=models.Model)

DEPTH: Final = 5_000_000
_WARM_UPS: Final = 1
_LOGS: Final[dict[type[models.Model], str]] = {
    Postback: "event_received_at",
    Event: "received_at",
    DeliveryAttempt: "event_received_at",
    Install: "event_received_at",
    Touchpoint: "received_at",
}
# What a field of a filter is tried with where it offers no choices: one that most rows have, one
# that few have, and one that none has.
_TEXTS: Final = {
    "event": ("open", "purchase", "no_such_event"),
    "code": ("200", "404", "5xx", "none"),
    "attempts": ("1", "2+", "9"),
    "reason": ("no_consent", "timeout"),
    "country": ("DE", "FR"),
    "version": ("1", "2"),
}
_OVERVIEW_FILTERS: Final[dict[str, type[models.Model]]] = {
    "app": App,
    "partner": Partner,
    "campaign": Campaign,
    "rule": CallbackRule,
}
_OF_THEIR_OWN: Final = {"q", "since", "until", "text"}
_ROWS: Final = (App, Partner, Campaign, TrackingLink, CallbackRule)
_API_FILTERS: Final = {
    "events": (("event_name", ("open", "purchase", "no_such_event")),),
    "postbacks": (
        ("status", ("delivered", "failed", "skipped", "pending")),
        ("event_name", ("purchase", "no_such_event")),
        ("code", ("404", "none")),
        ("reason", ("no_consent", "timeout")),
        ("outcome", ("delivered", "failed", "interrupted")),
    ),
    "installs": (("kind", ("install", "reinstall")),),
    "touchpoints": (("kind", ("click", "impression")),),
}


@dataclass(frozen=True, slots=True)
class Page:
    """A page and how to get it. `token` is for the API."""

    name: str
    address: str
    token: str = ""


def measure(looks: int) -> dict[str, list[float]]:
    """Return the milliseconds of each page's looks."""
    organization = generated_organizations()[0]
    with tenant(organization.pk):
        every = list(_pages(_make_token()))
    client = Client(headers={"host": "127.0.0.1"})
    client.force_login(User.objects.get(email=OWNER))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "No directory at", UserWarning)  # of collected files
        return {page.name: _look(client, page, looks) for page in every}


def _make_token() -> str:
    fresh = keys.make_key(keys.API_TOKEN)
    ApiToken.objects.create(name="Benchmark", role=Role.OWNER, prefix=fresh.prefix, hash=fresh.hash)
    return fresh.secret


def _pages(token: str) -> Iterator[Page]:
    for key in PRESETS:
        yield Page(f"Overview, {key}", f"{reverse('admin:index')}?period={key}")
    for name, model in _OVERVIEW_FILTERS.items():
        row = model._default_manager.order_by("pk")[0]
        yield Page(f"Overview, one {name}", f"{reverse('admin:index')}?{name}={row.pk}")
    yield Page("Fraud report", reverse("admin:fraud_report"))
    for model, page in admin.site._registry.items():  # the only list of all pages
        address = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        name = f"{model._meta.verbose_name_plural}".capitalize()
        if not isinstance(page, LogAdmin):
            if model in _ROWS:
                yield Page(name, address)
            continue
        yield Page(name, address)
        if position := _deep(model):
            yield Page(f"{name}, deep", f"{address}?after={position.encode()}")
        for values in _filters(page.filter_form({})):
            yield Page(f"{name}, {urlencode(values)}", f"{address}?{urlencode(values)}")
    yield from _api_pages(token)
    yield from _searches(token)


def _deep(model: type[models.Model]) -> KeysetPosition | None:
    """Return the position of the row that lies so deep in a log, or nine tenths of it."""
    if model not in _LOGS:
        return None
    rows = model._default_manager.order_by(f"-{_LOGS[model]}", "-pk")
    row = rows.values_list("pk", _LOGS[model])
    depth = min(DEPTH, rows.count() * 9 // 10)
    return KeysetPosition(*row[depth])


def _filters(form: forms.Form) -> Iterator[dict[str, str]]:
    for name, field in form.fields.items():
        if name in _OF_THEIR_OWN:
            continue
        for value in _values(name, field):
            yield {name: value}
    if "status" in form.fields:
        yield {"status": "failed", "time": "24h"}


def _values(name: str, field: forms.Field) -> Iterator[str]:
    if isinstance(field, forms.ModelChoiceField):
        first = field.queryset.first() if field.queryset is not None else None
        if first is not None:
            yield str(field.prepare_value(first))
    elif isinstance(field, forms.ChoiceField):
        yield from (str(key) for key, _ in field.choices if key)  # type: ignore[misc, union-attr]
    else:
        yield from _TEXTS.get(name, ())


def _api_pages(token: str) -> Iterator[Page]:
    for path, model in (
        ("events", Event),
        ("postbacks", Postback),
        ("installs", Install),
        ("touchpoints", Touchpoint),
    ):
        address = f"/api/v1/{path}"
        yield Page(f"API {path}", address, token)
        deep = link_after(f"http://127.0.0.1{address}", _deep(model))
        yield Page(f"API {path}, deep", str(deep).removeprefix("http://127.0.0.1"), token)
        for name, values in _API_FILTERS[path]:
            for value in values:
                yield Page(f"API {path}, {name}={value}", f"{address}?{name}={value}", token)
    for span in ("hour", "day"):
        yield Page(f"API metrics by {span}", f"/api/v1/metrics?interval={span}", token)


def _searches(token: str) -> Iterator[Page]:
    install = _middle(Install)
    event = _middle(Event.objects.exclude(revenue=None))
    click, postback = _middle(Touchpoint), _middle(Postback)
    device = install.device.removeprefix("advertising:")
    texts = {
        "event ID": event.event_id,
        "postback ID": postback.public_id,
        "click ID": click.click_id,
        "our ID of a click": click.public_id,
        "advertising ID": device,
        "advertising ID, capitals without dashes": device.replace("-", "").upper(),
        **{
            f"{algorithm} of an advertising ID": digest
            for algorithm, digest in _digests(device).items()
        },
        "install ID": install.install_id,
        "customer user ID": event.customer_user_id,
        "transaction ID": event.fields["transaction_id"],
        "token of a link": TrackingLink.objects.order_by("pk")[0].token,
        "an ID that nothing has": UUID(int=7),
        "a text that nothing has": "no-such-id",
    }
    for name, text in texts.items():
        query = urlencode({"q": text})
        yield Page(f"Search: {name}", f"/api/v1/search?{query}", token)


def _digests(value: str) -> dict[str, str]:
    return {
        "SHA-1": _hash("sha1", value),
        "MD5": _hash("md5", value),
        "SHA-256": _hash("sha256", value),
    }


def _hash(algorithm: str, value: str) -> str:
    return hashlib.new(algorithm, value.encode(), usedforsecurity=False).hexdigest()


def _middle(rows: Any) -> Any:
    """Return a row from the middle of a log."""
    rows = rows if isinstance(rows, models.QuerySet) else rows._default_manager.all()
    key = _LOGS[rows.model]
    bounds = rows.aggregate(first=models.Min(key), last=models.Max(key))
    middle = bounds["first"] + (bounds["last"] - bounds["first"]) / 2
    return rows.filter(**{f"{key}__gte": middle}).order_by(key, "pk")[0]


def _look(client: Client, page: Page, looks: int) -> list[float]:
    durations = []
    headers = {"Authorization": f"Bearer {page.token}"} if page.token else {}
    for _ in range(looks + _WARM_UPS):
        started_at = time.perf_counter()
        response = client.get(page.address, headers=headers)
        durations.append((time.perf_counter() - started_at) * 1_000)
        if response.status_code != 200:
            raise SystemExit(f"{page.name}: {response.status_code} at {page.address}")
    return durations[_WARM_UPS:]


if __name__ == "__main__":
    json.dump(measure(int(sys.argv[1])), sys.stdout)
