"""What each ad network is told: the installs and purchases that it earned, by its own click ids."""

from collections.abc import Iterator

from postbacks.demo.networks import LUMEN, NETWORKS, TIDAL, Network
from postbacks.demo.rule import DemoRule
from postbacks.values.rule_choices import BodyType


def install_path(network: Network) -> str:
    """Return where the network takes the installs that it earned, without the query."""
    return f"/moody/{network.short}/install"


def _rules(network: Network) -> Iterator[DemoRule]:
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


NETWORK_RULES: tuple[DemoRule, ...] = (
    *(rule for network in NETWORKS for rule in _rules(network)),
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
