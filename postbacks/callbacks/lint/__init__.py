"""④ Warnings about rules that can be saved and still may not do what was meant. Plain Python.

The compiler's errors keep a rule from being saved. A warning blocks nothing; if there is one
obvious fix, it carries it.
"""

from postbacks.callbacks.lint.linting import lint, missing_rows
from postbacks.callbacks.lint.meaning import is_personal, platform_names
from postbacks.callbacks.lint.rule_warnings import Fix, RuleWarning, WarningCode, fix_of
from postbacks.callbacks.lint.texts import names_in

__all__ = [
    "Fix",
    "RuleWarning",
    "WarningCode",
    "fix_of",
    "is_personal",
    "lint",
    "missing_rows",
    "names_in",
    "platform_names",
]
