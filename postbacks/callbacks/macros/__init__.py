"""⑤ The macro language: `{{revenue|cents}}` in the URL, headers and body of a callback rule.

A template is compiled once and rendered for every postback. Plain Python: no Django, no network.
"""

from postbacks.callbacks.macros.catalogue import CATALOGUE, Macro, MacroGroup, MacroType
from postbacks.callbacks.macros.compiled import CompiledRequest
from postbacks.callbacks.macros.compiler import RequestTemplate, compile_request
from postbacks.callbacks.macros.filters import FILTERS, Filter
from postbacks.callbacks.macros.names import UnknownNameError, read_macro
from postbacks.callbacks.macros.problems import RenderError, RuleError, TemplateError
from postbacks.callbacks.macros.value import Rates, Value
from postbacks.values.rule_choices import BodyType, MissingValues

__all__ = [
    "CATALOGUE",
    "FILTERS",
    "BodyType",
    "CompiledRequest",
    "Filter",
    "Macro",
    "MacroGroup",
    "MacroType",
    "MissingValues",
    "Rates",
    "RenderError",
    "RequestTemplate",
    "RuleError",
    "TemplateError",
    "UnknownNameError",
    "Value",
    "compile_request",
    "read_macro",
]
