"""All callback rules of the demo: what its marketers would really set up."""

from postbacks.demo.game_rules import GAME_RULES
from postbacks.demo.network_rules import NETWORK_RULES

DEMO_RULES = (*GAME_RULES, *NETWORK_RULES)
