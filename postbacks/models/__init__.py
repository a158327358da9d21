"""The tables of events, installs, rules, postbacks and everything between them."""

from postbacks.models.erasures import (
    ErasureMode,
    ErasureReach,
    ErasureRequest,
    ErasureState,
    ErasureTombstone,
    ErasureTrace,
    TombstoneKey,
)
from postbacks.models.events import (
    DecisionFailure,
    Event,
    EventKey,
    EventSource,
    UndecidedEvent,
)
from postbacks.models.heartbeats import WorkerHeartbeat
from postbacks.models.installs import (
    AdServicesClaim,
    Attribution,
    Install,
    InstallKey,
    InstallKind,
    InstallState,
    UnsettledInstall,
)
from postbacks.models.postbacks import (
    AttemptKind,
    DeliveryAttempt,
    DuePostback,
    Postback,
    PostbackStatus,
    SkipReason,
)
from postbacks.models.rules import (
    CallbackRule,
    CallbackRuleVersion,
    RuleDevice,
    RulePace,
    RuleStatus,
)
from postbacks.models.skadnetwork import (
    SignatureState,
    SkanPostback,
    SkanProtocol,
    UnclaimedCopy,
)
from postbacks.models.tenantless import CacheEntry, ExchangeRate, RateCount, Tidying
from postbacks.models.touchpoints import (
    SiteTimes,
    Touchpoint,
    TouchpointKey,
    TouchpointKind,
    TouchpointSeen,
    TouchpointSource,
)

__all__ = [
    "AdServicesClaim",
    "AttemptKind",
    "Attribution",
    "CacheEntry",
    "CallbackRule",
    "CallbackRuleVersion",
    "DecisionFailure",
    "DeliveryAttempt",
    "DuePostback",
    "ErasureMode",
    "ErasureReach",
    "ErasureRequest",
    "ErasureState",
    "ErasureTombstone",
    "ErasureTrace",
    "Event",
    "EventKey",
    "EventSource",
    "ExchangeRate",
    "Install",
    "InstallKey",
    "InstallKind",
    "InstallState",
    "Postback",
    "PostbackStatus",
    "RateCount",
    "RuleDevice",
    "RulePace",
    "RuleStatus",
    "SignatureState",
    "SiteTimes",
    "SkanPostback",
    "SkanProtocol",
    "SkipReason",
    "Tidying",
    "TombstoneKey",
    "Touchpoint",
    "TouchpointKey",
    "TouchpointKind",
    "TouchpointSeen",
    "TouchpointSource",
    "UnclaimedCopy",
    "UndecidedEvent",
    "UnsettledInstall",
    "WorkerHeartbeat",
]
