"""People whose interactions are counted: a click, a choice, or filling in one field.

Pressing a button by a key counts as its click. Looking and waiting are free.
"""

import re
from dataclasses import dataclass
from typing import Protocol

from playwright.sync_api import Locator, Page

from tests.browser.keyboard import tab_to, type_into

_LONGEST_LIST = 40
_IS_CHOSEN = """
option => [...(document.activeElement.selectedOptions ?? [])].some((it) => it.label === option)
"""
_HAS_FOCUS = "name => document.activeElement.computedName.includes(name)"


class Person(Protocol):
    """Who fills in, chooses and presses, by names alone."""

    page: Page
    count: int

    def fill(self, name: str, text: str) -> None:
        """Fill in a field."""

    def pick(self, name: str, option: str) -> None:
        """Choose from a list."""

    def press(self, name: str) -> None:
        """Press a button or follow a link."""


@dataclass
class WithMouse:
    """Clicks."""

    page: Page
    count: int = 0

    def fill(self, name: str, text: str) -> None:
        """Fill in a field."""
        self.count += 1
        self.page.get_by_role("textbox", name=re.compile(f"^{re.escape(name)}")).fill(text)

    def pick(self, name: str, option: str) -> None:
        """Choose from a list."""
        self.count += 1
        self.page.get_by_role("combobox", name=re.compile(f"^{re.escape(name)}")).select_option(
            label=option
        )

    def press(self, name: str) -> None:
        """Press a button or follow a link."""
        self.count += 1
        self._pressable(name).click()

    def _pressable(self, name: str) -> Locator:
        button = self.page.get_by_role("button", name=name, exact=True)
        return button.or_(self.page.get_by_role("link", name=name, exact=True)).first


@dataclass
class WithKeyboard:
    """Tabs; every stop on the way must be seen."""

    page: Page
    count: int = 0

    def fill(self, name: str, text: str) -> None:
        """Fill in a field, which may have the cursor already."""
        self.count += 1
        if self.page.evaluate(_HAS_FOCUS, name):
            self.page.keyboard.press("ControlOrMeta+a")
            self.page.keyboard.type(text)
        else:
            type_into(self.page, name, text)

    def pick(self, name: str, option: str) -> None:
        """Choose from a list, downwards from what is chosen."""
        self.count += 1
        tab_to(self.page, name)
        for _ in range(_LONGEST_LIST):
            if self.page.evaluate(_IS_CHOSEN, option):
                return
            self.page.keyboard.press("ArrowDown")
        focused = self.page.evaluate("document.activeElement.outerHTML.slice(0, 200)")
        raise AssertionError(f"“{option}” can't be chosen from {focused}")

    def press(self, name: str) -> None:
        """Press a button or follow a link."""
        self.count += 1
        tab_to(self.page, name)
        self.page.keyboard.press("Enter")
