"""Switches a rule on by a button, once a test has succeeded or somebody says “anyway”."""

from collections.abc import Collection
from typing import ClassVar

import msgspec
from django.contrib import messages
from django.http import HttpRequest, HttpResponseRedirect, QueryDict
from django.urls import reverse

from postbacks.admin.rules.form import CallbackRuleForm
from postbacks.callbacks.rules.versions import define
from postbacks.models import CallbackRule, RuleStatus
from postbacks.rulebook.test_send import is_proven, proof_of

ANYWAY = "_anyway"
SWITCH_ON = "_switch_on"


class SwitchedRuleForm(CallbackRuleForm):
    """A rule's form. `tested` names the requests that this person has just seen to work."""

    tested: ClassVar[Collection[str]] = ()

    asks_for_test = False

    def __init__(self, *args: object, **kwargs: object) -> None:
        given, *rest = args or (kwargs.pop("data", None),)
        super().__init__(_switched_on(given), *rest, **kwargs)

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


def _switched_on(data: object) -> object:
    """Return what was sent; with the button that switches on, the status follows it."""
    if not isinstance(data, QueryDict) or not {SWITCH_ON, ANYWAY} & data.keys():
        return data
    changed = data.copy()
    changed["status"] = RuleStatus.ACTIVE.value
    return changed


def to_its_log(request: HttpRequest, rule: CallbackRule) -> HttpResponseRedirect | None:
    """Return the way to the log of a rule that was just switched on: there the proof appears."""
    if not {SWITCH_ON, ANYWAY} & request.POST.keys():
        return None
    messages.info(request, "From now on, each postback of this rule appears here.")
    address = reverse("admin:postbacks_postback_changelist")
    return HttpResponseRedirect(f"{address}?rule={rule.pk}")
