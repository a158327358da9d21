"""What happens."""

from postbacks.models.counters import CacheEntry, RateCount
from postbacks.models.events import (
    DecisionFailure,
    Event,
    EventKey,
    EventSource,
    UndecidedEvent,
)
from postbacks.models.heartbeats import WorkerHeartbeat
from postbacks.models.installs import Install
from postbacks.models.postbacks import (
    AttemptKind,
    DeliveryAttempt,
    DuePostback,
    Postback,
    PostbackStatus,
    SkipReason,
)
from postbacks.models.rates import ExchangeRate
from postbacks.models.rules import (
    CallbackRule,
    CallbackRuleVersion,
    RuleDevice,
    RulePace,
    RuleStatus,
)

__all__ = [
    "AttemptKind",
    "CacheEntry",
    "CallbackRule",
    "CallbackRuleVersion",
    "DecisionFailure",
    "DeliveryAttempt",
    "DuePostback",
    "Event",
    "EventKey",
    "EventSource",
    "ExchangeRate",
    "Install",
    "Postback",
    "PostbackStatus",
    "RateCount",
    "RuleDevice",
    "RulePace",
    "RuleStatus",
    "SkipReason",
    "UndecidedEvent",
    "WorkerHeartbeat",
]
