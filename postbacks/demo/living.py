"""What goes on in the demo after its day: players of a third organization's app, and a trickle.

So its live page moves, its curves go on and its figures are those of now. Nothing here is counted.
"""

import json
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random

from apps_registry.models import App, BundleId, Membership, Organization, Partner, User
from apps_registry.roles import Role
from apps_registry.tenancy import tenant
from postbacks.demo.configuration import BUNDLE_IDS
from postbacks.demo.networks import DemoApp
from postbacks.demo.organization import DemoOrganization, replace_sdk_key
from postbacks.demo.sending.sdk_client import (
    RefusedError,
    RetryingClient,
    SdkClient,
    UnreachableError,
)
from postbacks.demo.simulation.model import SdkCall, SentEvent
from postbacks.models import CallbackRule, RuleStatus
from postbacks.rulebook import saving

NAME = "Lantern Run Games"
BUNDLE_ID = "com.lanternrun.endless"
EVERY = 0.5  # seconds
_OF_FIRST = 4  # each fourth event is of the first organization
_MOST_PLAYERS = 40
_NEW_PLAYER = 0.08
_PATIENCE = 3.0  # seconds that a busy web server is waited for
_EVENTS = {"open": 30, "level_up": 40, "ad_impression": 18, "purchase": 12}  # how often each
_PRICES = ("0.99", "2.99", "4.99", "9.99")
_COUNTRIES = ("US", "DE", "FR", "GB", "JP", "BR")
# Name, events, and the stand-in's path, whose first part says how it answers.
_RULES = (
    ("Everything to the warehouse", ["*"], "/ok/lantern/all"),
    ("Purchases to Beacon Ads", ["purchase"], "/flaky/lantern/purchase"),
    ("Installs to Beacon Ads", ["install"], "/ok/lantern/install"),
)
_QUERY = "?event={{event_name}}&id={{advertising_id}}&value={{revenue}}&event_id={{event_id}}"


@dataclass(frozen=True, slots=True)
class Player:
    """A device that plays an app, as its SDK reports it."""

    fields: Mapping[str, str]


@dataclass(slots=True)
class AppPlayed:
    """An app, the client that reports its events, and its players."""

    platform: DemoApp
    bundle_id: str
    client: SdkClient
    players: list[Player] = field(default_factory=list)

    def play(self, rng: Random) -> None:
        """Report one event of some player; a new one begins with the first open."""
        is_new = not self.players or rng.random() < _NEW_PLAYER
        if is_new:
            self.players = [*self.players[-_MOST_PLAYERS:], _new_player(self.platform, rng)]
        player = self.players[-1] if is_new else rng.choice(self.players)
        often = rng.choices(list(_EVENTS), list(_EVENTS.values()))[0]
        name = "open" if is_new else often
        event = SentEvent({**_event(name, rng), **player.fields, "bundle_id": self.bundle_id})
        body = json.dumps({"events": [event.fields]}).encode()
        self.client.send(SdkCall(self.platform, body, gzip=False, events=(event,)))


class Players:
    """Plays both organizations' apps, about two events a second."""

    def __init__(self, host: str, port: int, demo: DemoOrganization, partner_url: str) -> None:
        def client(key: str) -> SdkClient:
            return SdkClient(RetryingClient(host, port, retry_seconds=_PATIENCE), key)

        key = set_up(partner_url, owner_email=demo.people[0].email)
        self._rng = Random()  # noqa: S311  # a game
        self._played = 0
        self._third = AppPlayed(DemoApp.ANDROID, BUNDLE_ID, client(key))
        self._first = AppPlayed(
            DemoApp.IOS, BUNDLE_IDS[DemoApp.IOS], client(demo.sdk_keys[DemoApp.IOS])
        )

    def play_on(self) -> None:
        """Report one event. One that nobody takes, as after a revoked key, is let go."""
        self._played += 1
        app = self._third if self._played % _OF_FIRST else self._first
        with suppress(RefusedError, UnreachableError):
            app.play(self._rng)


def set_up(partner_url: str, *, owner_email: str) -> str:
    """Return a fresh key of the third organization's app, which is created at the first start."""
    organization, is_new = Organization.objects.get_or_create(
        name=NAME, defaults={"time_zone": "Europe/Berlin"}
    )
    owner = User.objects.get(email=owner_email)
    Membership.objects.get_or_create(
        organization=organization, user=owner, defaults={"role": Role.OWNER}
    )
    with tenant(organization.pk):
        if is_new:
            _configure(partner_url)
        return replace_sdk_key(BundleId.objects.select_related("app").get(identifier=BUNDLE_ID).app)


def _configure(partner_url: str) -> None:
    app = App.objects.create(name="Lantern Run", platform="android", store_id=BUNDLE_ID)
    BundleId.objects.create(app=app, identifier=BUNDLE_ID)
    partner = Partner.objects.create(
        name="Beacon Ads", allowed_hosts=[partner_url.removeprefix("http://")]
    )
    for name, triggers, path in _RULES:
        rule = CallbackRule(
            name=name,
            status=RuleStatus.ACTIVE,
            app=app,
            partner=partner,
            triggers=triggers,
            url=f"{partner_url}{path}{_QUERY}",
            retry_delays=[2, 5, 10, 30],
        )
        saving.save(rule, by=None)


def _new_player(platform: DemoApp, rng: Random) -> Player:
    id_ = str(uuid.UUID(int=rng.getrandbits(128), version=4))
    advertising = {"gaid": id_} if platform is DemoApp.ANDROID else {"idfa": id_.upper()}
    return Player(
        {
            "install_id": str(uuid.uuid4()),
            "platform": platform.value,
            "country": rng.choice(_COUNTRIES),
            "ip_address": f"203.0.113.{rng.randrange(1, 255)}",
            "user_agent": "LanternRun/2.1",
            "app_version": "2.1.0",
            **advertising,
        },
    )


def _event(name: str, rng: Random) -> dict[str, object]:
    money = {"revenue": rng.choice(_PRICES), "currency": "USD"} if name == "purchase" else {}
    level = {"params": {"level": rng.randrange(1, 60)}} if name == "level_up" else {}
    return {
        "event_id": str(uuid.uuid4()),
        "event_name": name,
        "event_time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        **money,
        **level,
    }
