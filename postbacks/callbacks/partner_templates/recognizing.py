"""Which request of a template a rule still is, after people have changed it."""

from postbacks.callbacks.macros import BodyType
from postbacks.callbacks.partner_templates.shape import PartnerTemplate, RuleTemplate


def rule_in_use(
    template: PartnerTemplate, *, url: str, method: str, body_type: BodyType
) -> RuleTemplate | None:
    """This is the request that goes to the same address in the same way; None if there is none.

    A template that asks for its address is known by method and kind of body alone. Of several the
    one counts most of whose parameters are named in the URL.
    """
    address = url.partition("?")[0]
    fitting = [
        rule
        for rule in template.rules
        if rule.method == method
        and rule.body == body_type
        and (not rule.url or rule.url.partition("?")[0] == address)
    ]
    if not fitting or not address:
        return None
    return max(fitting, key=lambda rule: sum(f"{it.name}=" in url for it in rule.parameters))
