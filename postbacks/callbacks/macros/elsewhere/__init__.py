"""What other vendors call our macros.

A name that is not here has no counterpart with us. Times are Unix seconds unless a filter or an
ending says otherwise. Where the same value has several names, the first is the usual one.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from postbacks.callbacks.macros.elsewhere.adjust import ADJUST
from postbacks.callbacks.macros.elsewhere.appsflyer import APPSFLYER
from postbacks.callbacks.macros.elsewhere.branch import BRANCH
from postbacks.callbacks.macros.elsewhere.kochava import KOCHAVA
from postbacks.callbacks.macros.elsewhere.singular import SINGULAR
from postbacks.callbacks.macros.elsewhere.tenjin import TENJIN
from postbacks.callbacks.macros.elsewhere.vendor import Vendor

__all__ = ["VENDORS", "Vendor"]

VENDORS: Final[Mapping[str, Vendor]] = MappingProxyType(
    {it.key: it for it in (ADJUST, APPSFLYER, BRANCH, KOCHAVA, SINGULAR, TENJIN)}
)
