"""What the parameter table says about a parameter: where it is empty, and what it is for."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from postbacks.admin.rules.request_parts import Part
from postbacks.callbacks.lint import is_personal, names_in, platform_names
from postbacks.callbacks.macros import CATALOGUE
from postbacks.callbacks.macros.parser import MacroCall, macros_in
from postbacks.callbacks.partner_templates import Parameter, RuleTemplate
from postbacks.callbacks.rules.definition import RuleDefinition

_OPTED_OUT = {
    "strip": "Empty for {who} who opted out.",
    "skip": "Nothing is sent of {who} who opted out.",
    "send": "Personal; sent of {who} who opted out, too.",
}


@dataclass(frozen=True, slots=True)
class Noting:
    """What notes are taken from."""

    definition: RuleDefinition
    platform: str
    template: RuleTemplate | None

    def noted(self, parts: Iterable[Part]) -> tuple[Part, ...]:
        """Return parameters with a note to each that there is something to say about."""
        rows = {row.name: row for row in self.template.parameters} if self.template else {}
        return tuple(
            replace(part, note=" ".join(self._notes(part.written, rows.get(part.name))))
            for part in parts
        )

    def _notes(self, written: str, row: Parameter | None) -> Iterator[str]:
        if row is not None:
            yield f"{row.meaning}{', required' if row.required else ''}."
        calls = [it for it in macros_in(written) if isinstance(it, MacroCall)]
        names = [name for call in calls for name in names_in(call)]
        platforms = _platforms_of(names)
        if platforms and not self.platform:
            yield f"Only on {platform_names(platforms)}."
        if any(map(is_personal, names)):
            where = platform_names([self.platform] if self.platform else platforms)
            who = f"people on {where}" if where else "people"
            yield _OPTED_OUT[self.definition.without_consent].format(who=who)
        if any(name.startswith("credential.") for name in names):
            yield "A credential of the partner, masked here."


def _platforms_of(names: Sequence[str]) -> list[str]:
    """Return where any of the macros has a value; nothing if that is everywhere."""
    known = [CATALOGUE[name].platforms for name in names if name in CATALOGUE]
    if not known or len(known) < len(names) or not all(known):
        return []
    return list(dict.fromkeys(platform for platforms in known for platform in platforms))
