"""The demo's callback rules: data that can be saved as rules, and whose postbacks can be counted.

The first segment of a path selects how the stand-in ad network responds (see `partner.server`).
Retry delays are short, so that the failures of a day are retried within seconds.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from postbacks.demo.networks import LUMEN, NETWORKS, TIDAL, DemoApp, Network
from postbacks.values.rule_choices import BodyType, Frequency, MissingValues

_REQUIRED_MACRO = re.compile(r"\{\{([^{}]+)!\}\}")
_SHORT_RETRY_DELAYS = (1, 1, 2, 2, 3)


@dataclass(frozen=True, slots=True)
class DemoRule:
    """A callback rule as plain data; without an app it is for both apps.

    With `only_earned` it sends only events of installs that are attributed to its `network`.
    `countries` and `least_level` are conditions, unless empty or 0. `path` is the stand-in's.
    """

    name: str
    triggers: tuple[str, ...]
    path: str
    app: DemoApp | None = None
    network: Network = LUMEN
    only_earned: bool = False
    frequency: Frequency = Frequency.EVERY
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    body_type: BodyType = BodyType.NONE
    body: str = ""
    missing_values: MissingValues = MissingValues.EMPTY
    retry_delays: tuple[int, ...] = _SHORT_RETRY_DELAYS
    countries: tuple[str, ...] = ()
    least_level: int = 0
    sign: bool = False

    @property
    def conditions(self) -> dict[str, object]:
        """Return the conditions as `CallbackRule.conditions` stores them."""
        conditions: list[dict[str, object]] = []
        if self.countries:
            conditions.append({"field": "country", "operator": "in", "value": list(self.countries)})
        if self.least_level:
            conditions.append({"field": "params.level", "operator": "≥", "value": self.least_level})
        return {"all": conditions}

    @property
    def required_macros(self) -> frozenset[str]:
        """Return the macros without whose value a postback is skipped."""
        templates = (self.path, self.body, *self.headers.values())
        return frozenset(name for text in templates for name in _REQUIRED_MACRO.findall(text))


def install_path(network: Network) -> str:
    """Return the path at which the stand-in receives a network's attributed installs."""
    return f"/moody/{network.short}/install"


def _rules_of(network: Network) -> Iterator[DemoRule]:
    yield DemoRule(
        name=f"Installs that {network.name} earned",
        network=network,
        only_earned=True,
        triggers=("install",),
        path=(
            f"{install_path(network)}?click_id={{{{click_id}}}}&campaign={{{{campaign_id}}}}"
            "&site={{site_id}}&match={{match_type}}&installed_at={{acquired_at_ms}}"
        ),
    )
    yield DemoRule(
        name=f"Players whom {network.name} won back",
        network=network,
        only_earned=True,
        triggers=("reattribution",),
        path=f"/ok/{network.short}/return?click_id={{{{click_id}}}}&event={{{{event_name}}}}",
    )
    yield DemoRule(
        name=f"Purchases of players from {network.name}",
        network=network,
        only_earned=True,
        triggers=("purchase",),
        path=(
            f"/flaky/{network.short}/purchase?click_id={{{{click_id}}}}"
            "&value={{revenue_usd_gross}}&transaction={{transaction_id}}"
        ),
    )


# For all installs, whatever they are attributed to.
GAME_RULES: tuple[DemoRule, ...] = (
    DemoRule(
        name="Install to Lumen Ads",
        triggers=("install",),
        path=(
            "/moody/install?advertising_id={{advertising_id}}&ip={{ip_address}}"
            "&app={{bundle_id}}&campaign={{campaign_id}}&event={{event_name}}"
            "&installed_at={{acquired_at_ms}}"
        ),
    ),
    DemoRule(
        name="Purchase to Lumen Ads",
        triggers=("purchase",),
        method="POST",
        path="/limited/purchase",
        headers={"Authorization": "Bearer {{credential.api_key}}"},
        body_type=BodyType.JSON,
        body=(
            '{"app": "{{bundle_id}}", "device": "{{advertising_id}}", '
            '"revenue": {{revenue}}, "currency": "{{currency}}", '
            '"revenue_usd": {{revenue_usd_gross}}, '
            '"product": "{{product_id}}", "transaction_id": "{{transaction_id}}"}'
        ),
    ),
    DemoRule(
        name="Welcome mail after the first registration",
        triggers=("registration",),
        frequency=Frequency.FIRST,
        method="POST",
        path="/slow/welcome",
        body_type=BodyType.FORM,
        body=(
            "user={{customer_user_id}}&nickname={{params.nickname}}"
            "&language={{language}}&country={{country|lower}}"
        ),
    ),
    DemoRule(
        name="Progress of Android players",
        app=DemoApp.ANDROID,
        triggers=("tutorial_complete", "level_up"),
        path="/flaky/progress?gaid={{gaid}}&event={{event_name}}&level={{params.level}}",
        missing_values=MissingValues.DROP,
    ),
    DemoRule(
        name="Installs and purchases with an IDFA",
        app=DemoApp.IOS,
        triggers=("install", "purchase"),
        path="/flaky/conversion?idfa={{idfa!}}&event={{event_name}}&revenue={{revenue}}",
        missing_values=MissingValues.DROP,
    ),
    DemoRule(
        name="Every event to the data warehouse",
        triggers=("*",),
        method="POST",
        path="/ok/events",
        sign=True,
        body_type=BodyType.JSON,
        body=(
            '{"id": "{{postback_id}}", "event_id": "{{event_id}}", "name": "{{event_name}}", '
            '"at": {{time_in_ms}}, "platform": "{{platform}}", "country": "{{country}}", '
            '"revenue": {{revenue}}, "level": {{params.level}}}'
        ),
    ),
    DemoRule(
        name="Keen players in Europe",
        triggers=("level_up",),
        path="/ok/keen?install={{install_id}}&level={{params.level}}&country={{country}}",
        countries=("DE", "FR", "GB"),
        least_level=3,
    ),
    DemoRule(
        name="Opens on iOS for re-engagement",
        app=DemoApp.IOS,
        triggers=("open",),
        path="/slow/open?device={{idfa||idfv}}&os={{os_version}}&at={{time_in_ms}}",
    ),
    DemoRule(
        name="New payers to the affiliate",
        triggers=("purchase",),
        frequency=Frequency.FIRST,
        method="POST",
        path="/picky/payer?transaction={{transaction_id}}",
        body_type=BodyType.JSON,
        body='{"app": "{{bundle_id}}", "revenue": {{revenue}}, "currency": "{{currency}}"}',
    ),
)

# For the installs that each network earned, by its own click ids.
NETWORK_RULES: tuple[DemoRule, ...] = (
    *(rule for network in NETWORKS for rule in _rules_of(network)),
    DemoRule(
        name="Installs refused to Tidal Reach",
        network=TIDAL,
        only_earned=True,
        triggers=("rejected_install",),
        path=f"/ok/{TIDAL.short}/refused?click_id={{{{click_id}}}}&reason={{{{reject_reason}}}}",
    ),
    DemoRule(
        name="SKAdNetwork copies to Lumen Ads",
        network=LUMEN,
        only_earned=True,
        triggers=("skan_postback",),
        method="POST",
        path=f"/flaky/{LUMEN.short}/skan",
        body_type=BodyType.JSON,
        body=(
            '{"transaction": "{{skan_transaction_id}}", "campaign": "{{campaign_id}}", '
            '"won": {{skan_did_win}}, "value": {{skan_conversion_value}}}'
        ),
    ),
)

DEMO_RULES = (*GAME_RULES, *NETWORK_RULES)
