"""Asks for a successful test, or an explicit “anyway”, before a rule is switched on."""

from collections.abc import Collection
from typing import ClassVar

import msgspec

from postbacks.admin.rule_form import CallbackRuleForm
from postbacks.callbacks.rules import define
from postbacks.models import RuleStatus
from postbacks.trials.sending import is_proven, proof_of

ANYWAY = "_anyway"


class SwitchedRuleForm(CallbackRuleForm):
    """A rule's form. `tested` names the requests that this person has just seen to work."""

    tested: ClassVar[Collection[str]] = ()

    asks_for_test = False

    def is_valid(self) -> bool:
        """Tell whether the rule can be saved: not while the question stands whether it works."""
        if not super().is_valid():
            return False
        self.asks_for_test = ANYWAY not in self.data and self._is_switched_on_untested()
        return not self.asks_for_test

    def _is_switched_on_untested(self) -> bool:
        is_switched_on = self.cleaned_data.get("status") == RuleStatus.ACTIVE
        if not is_switched_on or self.initial.get("status") == RuleStatus.ACTIVE:
            return False
        try:
            return proof_of(define(self.instance)) not in self.tested and not is_proven(
                self.instance
            )
        except msgspec.ValidationError:
            return False  # what has the wrong shape is refused elsewhere
