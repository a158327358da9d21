"""④ Partner templates: the requests that networks, MMPs and own systems expect, as data files.

The files are in `files/`, one for each partner. CONTRIBUTING.md tells how to add one. Plain
Python: no Django, no database.
"""

from postbacks.callbacks.partner_templates.defining import (
    definition_from_template,
    first_choice,
    rule_in_use,
)
from postbacks.callbacks.partner_templates.files import (
    FOLDER,
    TemplateFileError,
    Unavailable,
    all_templates,
    click_parameters,
    read_folder,
    template_named,
    unavailable_partners,
)
from postbacks.callbacks.partner_templates.missing import (
    MissingAnswer,
    absent_parameters,
    missing_answers,
    missing_credentials,
)
from postbacks.callbacks.partner_templates.shape import (
    ClickMacro,
    CredentialAsked,
    EventName,
    PartnerTemplate,
    RuleTemplate,
    TemplateGroup,
    TemplateParameter,
    Verification,
    VerificationState,
)

__all__ = [
    "FOLDER",
    "ClickMacro",
    "CredentialAsked",
    "EventName",
    "MissingAnswer",
    "PartnerTemplate",
    "RuleTemplate",
    "TemplateFileError",
    "TemplateGroup",
    "TemplateParameter",
    "Unavailable",
    "Verification",
    "VerificationState",
    "absent_parameters",
    "all_templates",
    "click_parameters",
    "definition_from_template",
    "first_choice",
    "missing_answers",
    "missing_credentials",
    "read_folder",
    "rule_in_use",
    "template_named",
    "unavailable_partners",
]
