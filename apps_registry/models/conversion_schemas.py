"""All that an app means by its conversion values, as one: each value means one thing."""

from collections.abc import Iterable, Sequence
from itertools import combinations

from django.core.exceptions import ValidationError

from apps_registry.models.apps import App
from apps_registry.models.conversions import ConversionMeaning


def check_meanings(meanings: Iterable[ConversionMeaning]) -> None:
    """Raise ValidationError where a value would mean two things."""
    for one, other in combinations(meanings, 2):
        if one.meets(other):
            raise ValidationError(
                f"The values {one.values} and {other.values} meet; each value means one thing."
            )


def replace_meanings(app: App, wanted: Sequence[ConversionMeaning]) -> bool:
    """Have an app mean these and nothing else; tell whether that changed anything.

    Raises ValidationError before anything is written.
    """
    for meaning in wanted:
        meaning.app, meaning.organization_id = app, app.organization_id
        meaning.full_clean(exclude=["organization", "app"], validate_constraints=False)
        has_range = None not in (meaning.first_value, meaning.last_value)
        is_coarse = meaning.first_value is None and meaning.last_value is None
        if not (is_coarse if meaning.coarse_value else has_range and meaning.sequence is None):
            raise ValidationError("Say either a range of values or a coarse value.")
    check_meanings(wanted)
    ahead = {meaning.said(): meaning for meaning in wanted}
    gone = [row for row in app.conversion_meanings.all() if ahead.pop(row.said(), None) is None]
    for row in gone:
        row.delete()
    for meaning in ahead.values():
        meaning.save()
    return bool(gone or ahead)
