"""The shape of partner templates; the keys of a template file are these names."""

from enum import StrEnum

from msgspec import Struct

from postbacks.values.rule_choices import (
    AttributionScope,
    BodyType,
    HttpMethod,
    MissingValues,
    WithoutConsent,
)

Constant = str | int | float | bool


class TemplateGroup(StrEnum):
    """The heading under which people find a template."""

    AD_NETWORK = "ad network"
    MMP = "MMP"
    OWN_SYSTEM = "own system"


class VerificationState(StrEnum):
    """How far the shape of the requests was checked against the partner.

    `read`: in the partner's own pages, or in others' code that works with it. `old`: likewise, but
    dated 2017 and 2018 and not verified since. `partly`: some of it is not confirmed; the note says
    what. `own`: the receiver is yours, so there is nothing to verify.
    """

    READ = "read"
    PARTLY = "partly"
    OLD = "old"
    OWN = "own"


class Verification(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a template comes from, and how far it can be trusted."""

    state: VerificationState
    note: str = ""
    sources: tuple[str, ...] = ()

    @property
    def is_verified(self) -> bool:
        return self.state in {VerificationState.READ, VerificationState.OWN}


class CredentialAsked(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A value that the partner gave out, sent as `{{credential.name}}`."""

    name: str
    label: str
    help: str
    example: str
    secret: bool = True


class TemplateParameter(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One row of a request.

    `name` is a query or form parameter, or a path such as `data[0].user.idfa` in a JSON body.
    `value` is text with macros, a constant, or a list of texts; in JSON a text that is one macro
    keeps the macro's own type unless `as_text` is set. A required parameter's macro ends in `!`.
    """

    name: str
    meaning: str
    value: Constant | tuple[str, ...]
    required: bool = False
    as_text: bool = False
    note: str = ""

    @property
    def display_value(self) -> str:
        if isinstance(self.value, tuple):
            return ", ".join(text or "(empty)" for text in self.value)
        return str(self.value).lower() if isinstance(self.value, bool) else str(self.value)


class EventName(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An event by our name and by the partner's."""

    ours: str
    theirs: str


class RuleTemplate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One request that the partner accepts: it becomes a callback rule.

    `asks_names` is set if each account has its own names of events, and says where people find
    them; the partner's names in `events` are examples then.
    """

    title: str
    url: str
    events: tuple[EventName, ...]
    method: HttpMethod = HttpMethod.GET
    body: BodyType = BodyType.NONE
    headers: dict[str, str] = {}
    missing_values: MissingValues = MissingValues.DROP
    attribution_scope: AttributionScope = AttributionScope.EVERYONE
    without_consent: WithoutConsent = WithoutConsent.STRIP
    success: dict[str, object] = {}
    asks_names: str = ""
    parameters: tuple[TemplateParameter, ...] = ()


class ClickMacro(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A value that the network puts into a tracking link when its ad is clicked.

    `parameter` is ours; `macro` is the network's placeholder, empty if it is not known.
    """

    parameter: str
    macro: str = ""
    note: str = ""


class PartnerTemplate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything known of a partner. With `asks_address` people enter the receiver's address."""

    title: str
    group: TemplateGroup
    about: str
    verification: Verification
    rules: tuple[RuleTemplate, ...]
    name: str = ""  # the file's; set when it is read
    allowed_hosts: tuple[str, ...] = ()
    asks_address: bool = False
    credentials: tuple[CredentialAsked, ...] = ()
    click_macros: tuple[ClickMacro, ...] = ()
