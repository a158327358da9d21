"""What the waterfall looks at: an install, its candidates, and what holds for them. Plain data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from postbacks.values.attribution import ORGANIC
from postbacks.values.touchpoints import (
    CLAIM,
    TIME_IS_UNKNOWN,
)


@dataclass(frozen=True, slots=True)
class CandidateTouchpoint:
    """A touchpoint that may have earned the install; `names` are those of `recognition`.

    `refused` is a fraud reason that was known when it came, `signature` what its check found.
    """

    id: UUID
    kind: str  # click or impression
    occurred_at: datetime
    received_at: datetime
    partner_id: int
    names: frozenset[str]
    source: str = "link"  # link, server or claim
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
    params: Mapping[str, object] = field(default_factory=dict)

    @property
    def time_is_unknown(self) -> bool:
        """Tell whether a network claimed the install without saying when its ad was seen."""
        return self.source == CLAIM and bool(self.params.get(TIME_IS_UNKNOWN))


@dataclass(frozen=True, slots=True)
class InstallEvidence:
    """What is known of an install when its touchpoint is looked for.

    `names` hold its ids raw and hashed, the click ids of its referrer, and its address; those of
    the referrer are in `referrer_names` too. Times of the store are the server's where it told
    them; `referrer` is the Play referrer's parameters.
    """

    installed_at: datetime
    device: str
    platform: str = ""
    names: frozenset[str] = frozenset()
    referrer: Mapping[str, str] = field(default_factory=dict)
    install_begin_at: datetime | None = None
    referrer_click_at: datetime | None = None
    os_name: str = ""
    os_version: str = ""
    device_model: str = ""
    language: str = ""
    user_agent: str = ""
    is_return: bool = False  # a reinstall or an open after a long time: only proven touches count
    referrer_names: frozenset[str] = frozenset()
    install_begin_is_of_server: bool = False
    is_anonymous: bool = False  # from a data center, a VPN or Tor: no touchpoint can earn it
    adservices_token: str = ""
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Settings:
    """What holds for a touchpoint: of its link, else its partner, else the app, else everywhere."""

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
    """The settings of an app, and of its partners and links where they differ."""

    app: Settings = Settings()
    partners: Mapping[int, Settings] = field(default_factory=dict)
    links: Mapping[int, Settings] = field(default_factory=dict)

    def of(self, touch: CandidateTouchpoint) -> Settings:
        """Return what holds for a touchpoint."""
        if touch.link_id is not None and touch.link_id in self.links:
            return self.links[touch.link_id]
        return self.partners.get(touch.partner_id, self.app)


@dataclass(frozen=True, slots=True)
class Credit:
    """What an install is credited to; without a touch it is organic."""

    type: str = ORGANIC
    method: str = ""
    touch: CandidateTouchpoint | None = None
    window: timedelta | None = None

    @property
    def partner_id(self) -> int | None:
        """Return the partner who earned the install."""
        return self.touch.partner_id if self.touch else None


@dataclass(frozen=True, slots=True)
class Candidate:
    """One touchpoint that was looked at, and why it lost; the winner's reason is `won`."""

    touch: CandidateTouchpoint
    reason: str
    method: str = ""


@dataclass(frozen=True, slots=True)
class WaterfallVerdict:
    """The credit, every candidate with its reason, and the touchpoints that were fraud."""

    credit: Credit = Credit()
    candidates: tuple[Candidate, ...] = ()
    rejections: tuple[Candidate, ...] = ()
    remarks: tuple[str, ...] = ()  # what was odd and decided nothing, for example a short time
