"""What the waterfall decides on: an install, its candidates and their settings. Plain data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from postbacks.attribution.missed_limits import MissedLimit
from postbacks.values.attribution import ORGANIC
from postbacks.values.touchpoints import CLAIM, LINK, TIME_IS_UNKNOWN


@dataclass(frozen=True, slots=True)
class CandidateTouchpoint:
    """A touchpoint that may have earned the install.

    `refused` is a fraud reason that was known on arrival, `signature` the result of its check,
    `sender` the key or the hashed address of a server that reported it.
    """

    id: UUID
    kind: str  # click or impression
    occurred_at: datetime
    received_at: datetime
    partner_id: int
    identifiers: frozenset[str]
    source: str = LINK  # link, server or claim
    campaign_id: int | None = None
    link_id: int | None = None
    click_id: str = ""
    site_id: str = ""
    os_name: str = ""
    os_version: str = ""
    device_model: str = ""
    language: str = ""
    user_agent: str = ""
    country: str = ""
    signature: str = ""
    refused: str = ""
    sender: str = ""
    params: Mapping[str, object] = field(default_factory=dict)

    @property
    def time_is_unknown(self) -> bool:
        """Tell whether a network claimed the install without the time of its ad."""
        return self.source == CLAIM and bool(self.params.get(TIME_IS_UNKNOWN))


@dataclass(frozen=True, slots=True)
class InstallEvidence:
    """What is known of an install when touchpoints compete for it.

    `identifiers` hold its ids raw and hashed, the click ids of its referrer, and its address; those
    of the referrer are in `referrer_identifiers` too. `former_identifiers` only find touchpoints
    that spell an id otherwise. Store times are the server's where it sent them. `referrer` holds
    the Play referrer's parameters.
    """

    installed_at: datetime
    device: str
    platform: str = ""
    identifiers: frozenset[str] = frozenset()
    referrer: Mapping[str, str] = field(default_factory=dict)
    install_begin_at: datetime | None = None
    referrer_click_at: datetime | None = None
    os_name: str = ""
    os_version: str = ""
    device_model: str = ""
    language: str = ""
    user_agent: str = ""
    is_return: bool = False  # a reinstall or an open after a long time: only proofs count
    referrer_identifiers: frozenset[str] = frozenset()
    has_server_begin_time: bool = False
    is_anonymous: bool = False  # from a data center, a VPN or Tor: no touchpoint can earn it
    adservices_token: str = ""
    remarks: tuple[str, ...] = ()
    former_identifiers: frozenset[str] = frozenset()
    is_test_device: bool = False  # marked by a tester: fraud checks leave it alone

    @property
    def searched_identifiers(self) -> frozenset[str]:
        """Return the identifiers with the other spellings that touchpoints may have of them."""
        return self.identifiers | self.former_identifiers


@dataclass(frozen=True, slots=True)
class Settings:
    """The attribution settings of one level: a link, a partner, an app, or the organization."""

    click_window: timedelta = timedelta(days=7)
    impression_window: timedelta = timedelta(hours=24)
    probabilistic_clicks: bool = False
    probabilistic_impressions: bool = False
    probabilistic_on_ios: bool = False
    probabilistic_click_window: timedelta = timedelta(hours=6)
    probabilistic_impression_window: timedelta = timedelta(hours=1)
    reattribution_window: timedelta = timedelta(days=90)
    inactivity: timedelta = timedelta(days=7)
    reengagement_window: timedelta = timedelta(days=7)
    reinstall_events: str = "original"
    least_time_to_install: timedelta = timedelta(seconds=2)
    most_touches_per_hour: int = 10


@dataclass(frozen=True, slots=True)
class SettingsByScope:
    """The settings of an app, and those of its partners and links that differ.

    The level nearest to a touchpoint wins: its link, else its partner, else the app.
    """

    app: Settings = Settings()
    partners: Mapping[int, Settings] = field(default_factory=dict)
    links: Mapping[int, Settings] = field(default_factory=dict)
    has_test_devices: bool = False  # in the organization

    def of(self, touchpoint: CandidateTouchpoint) -> Settings:
        if touchpoint.link_id is not None and touchpoint.link_id in self.links:
            return self.links[touchpoint.link_id]
        return self.partners.get(touchpoint.partner_id, self.app)


@dataclass(frozen=True, slots=True)
class Credit:
    """What an install is credited to; without a touchpoint it is organic."""

    type: str = ORGANIC
    method: str = ""
    touchpoint: CandidateTouchpoint | None = None
    window: timedelta | None = None

    @property
    def partner_id(self) -> int | None:
        return self.touchpoint.partner_id if self.touchpoint else None


@dataclass(frozen=True, slots=True)
class Candidate:
    """One touchpoint that competed, and why it lost; the winner's reason is `won`.

    `missed` has the figures where the reason is about a limit.
    """

    touchpoint: CandidateTouchpoint
    reason: str
    method: str = ""
    missed: MissedLimit | None = None


@dataclass(frozen=True, slots=True)
class WaterfallVerdict:
    """The credit, every candidate with its reason, and the fraud that would have won."""

    credit: Credit = Credit()
    candidates: tuple[Candidate, ...] = ()
    rejections: tuple[Candidate, ...] = ()
    remarks: tuple[str, ...] = ()  # what was odd but decided nothing, such as a short time
