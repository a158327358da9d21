"""④ Remarks on a rule that can be saved and still may not do what was meant. Plain Python.

Problems, which keep a rule from being saved, are the compiler's. A remark blocks nothing; where
there is one obvious remedy, it carries it.
"""

from postbacks.callbacks.lint.fixes import Fix, fix_of
from postbacks.callbacks.lint.linting import lint, missing_rows
from postbacks.callbacks.lint.meaning import is_personal, platform_names
from postbacks.callbacks.lint.remark import Code, RuleWarning
from postbacks.callbacks.lint.texts import names_in

__all__ = [
    "Code",
    "Fix",
    "RuleWarning",
    "fix_of",
    "is_personal",
    "lint",
    "missing_rows",
    "names_in",
    "platform_names",
]
