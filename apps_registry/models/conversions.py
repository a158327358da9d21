"""The meaning of an app's conversion values, which its SDK reports to Apple."""

import uuid
from collections.abc import Iterable, Sequence
from itertools import combinations

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q

from apps_registry.models.apps import App
from apps_registry.models.organizations import CURRENCY
from apps_registry.tenancy import TenantModel

MAX_FINE_VALUE = 63


class CoarseValue(models.TextChoices):
    """Apple's coarse conversion values."""

    LOW = "low", "Low"
    MEDIUM = "medium", "Medium"
    HIGH = "high", "High"


class PostbackSequence(models.IntegerChoices):
    """The position of a postback among the three that Apple sends for a download."""

    FIRST = 0, "First (days 0 to 2)"
    SECOND = 1, "Second (days 3 to 7)"
    THIRD = 2, "Third (days 8 to 35)"


class ConversionMeaning(TenantModel):
    """The meaning of a range of fine values, or of a coarse value: an event and its revenue."""

    public_id = models.UUIDField("ID in the API", default=uuid.uuid4, unique=True, editable=False)
    app = models.ForeignKey(
        App, models.PROTECT, related_name="conversion_meanings", db_constraint=False
    )
    first_value = models.PositiveSmallIntegerField(
        "from value",
        null=True,
        blank=True,
        validators=[MaxValueValidator(MAX_FINE_VALUE)],
        help_text="The least conversion value that means this, from 0 to 63, for example 10.",
    )
    last_value = models.PositiveSmallIntegerField(
        "to value",
        null=True,
        blank=True,
        validators=[MaxValueValidator(MAX_FINE_VALUE)],
        help_text="The greatest one, for example 19; the same as the first for a single value.",
    )
    coarse_value = models.CharField(
        max_length=8,
        blank=True,
        choices=CoarseValue.choices,
        help_text="What Apple says where there are few installs, for example Medium.",
    )
    sequence = models.PositiveSmallIntegerField(
        "postback",
        null=True,
        blank=True,
        choices=PostbackSequence.choices,
        help_text="In which postback it means this; empty: in each.",
    )
    event_name = models.CharField(
        "event",
        max_length=64,
        blank=True,
        help_text="What the person did, for example purchase.",
    )
    least_revenue = models.DecimalField(
        max_digits=18,
        decimal_places=6,
        null=True,
        blank=True,
        validators=[MinValueValidator(0)],
        help_text="What it earned at least, for example 4.99. Can stay empty.",
    )
    most_revenue = models.DecimalField(
        max_digits=18,
        decimal_places=6,
        null=True,
        blank=True,
        validators=[MinValueValidator(0)],
        help_text="What it earned at most, for example 9.99. Can stay empty.",
    )
    currency = models.CharField(
        max_length=3,
        default="USD",
        validators=[CURRENCY],
        help_text="The currency of both, for example USD.",
    )

    audited = (
        "app",
        "first_value",
        "last_value",
        "coarse_value",
        "sequence",
        "event_name",
        "least_revenue",
        "most_revenue",
        "currency",
    )

    class Meta(TenantModel.Meta):
        db_table = "conversion_meaning"
        verbose_name = "conversion value"
        ordering = ["first_value", "coarse_value", "sequence"]
        constraints = [
            models.CheckConstraint(
                condition=Q(
                    first_value__isnull=False,
                    last_value__isnull=False,
                    coarse_value="",
                    sequence__isnull=True,
                )
                | (Q(first_value=None, last_value=None) & ~Q(coarse_value="")),
                name="either_fine_values_or_a_coarse_one",
                violation_error_message="Say either a range of values or a coarse value.",
            ),
            models.CheckConstraint(
                condition=Q(last_value__gte=F("first_value"), last_value__lte=MAX_FINE_VALUE)
                | Q(first_value=None),
                name="a_range_of_values_from_0_to_63",
                violation_error_message="The greatest value is below the least.",
            ),
            models.CheckConstraint(
                condition=Q(least_revenue=None)
                | Q(most_revenue=None)
                | Q(most_revenue__gte=F("least_revenue")),
                name="least_revenue_before_most",
                violation_error_message="The greatest revenue is below the least.",
            ),
            models.UniqueConstraint(
                fields=["organization", "app", "coarse_value", "sequence"],
                condition=~Q(coarse_value=""),
                nulls_distinct=False,
                name="one_meaning_per_coarse_value_and_postback",
                violation_error_message="This coarse value has a meaning in this postback already.",
            ),
        ]

    def clean(self) -> None:
        first, last = self.first_value, self.last_value
        if first is not None and last is not None and first > last:
            raise ValidationError({"last_value": "It is below the value that the range begins at."})
        least, most = self.least_revenue, self.most_revenue
        if least is not None and most is not None and least > most:
            raise ValidationError({"most_revenue": "It is below the least revenue."})

    def __str__(self) -> str:
        return f"{self.values}: {self.event_name}" if self.event_name else self.values

    @property
    def values(self) -> str:
        """Return the values as text, for example “10 to 19” or “High”."""
        if self.coarse_value:
            return str(self.get_coarse_value_display())
        if self.first_value == self.last_value:
            return str(self.first_value)
        return f"{self.first_value} to {self.last_value}"

    def definition(self) -> tuple[object, ...]:
        """Return all fields but the app: two meanings of an app are equal if these are."""
        return (
            self.first_value,
            self.last_value,
            self.coarse_value,
            self.sequence,
            self.event_name,
            self.least_revenue,
            self.most_revenue,
            self.currency,
        )

    def overlaps(self, other: "ConversionMeaning") -> bool:
        """Return whether both meanings cover the same value."""
        if self.coarse_value or other.coarse_value:
            return (self.coarse_value, self.sequence) == (other.coarse_value, other.sequence)
        ours, theirs = self._range(), other._range()
        return bool(ours and theirs and ours[0] <= theirs[-1] and theirs[0] <= ours[-1])

    def _range(self) -> range:
        if self.first_value is None or self.last_value is None:
            return range(0)
        return range(self.first_value, self.last_value + 1)


def check_meanings(meanings: Iterable[ConversionMeaning]) -> None:
    """Raise ValidationError if a value has two meanings."""
    for first, second in combinations(meanings, 2):
        if first.overlaps(second):
            raise ValidationError(
                f"The values {first.values} and {second.values} meet; each value means one thing."
            )


def replace_meanings(app: App, meanings: Sequence[ConversionMeaning]) -> bool:
    """Replace all meanings of an app by these; return whether anything changed.

    Raises ValidationError before anything is written.
    """
    for meaning in meanings:
        meaning.app, meaning.organization_id = app, app.organization_id
        meaning.full_clean(exclude=["organization", "app"], validate_constraints=False)
        has_range = None not in (meaning.first_value, meaning.last_value)
        is_coarse = meaning.first_value is None and meaning.last_value is None
        if not (is_coarse if meaning.coarse_value else has_range and meaning.sequence is None):
            raise ValidationError("Say either a range of values or a coarse value.")
    check_meanings(meanings)
    added = {meaning.definition(): meaning for meaning in meanings}
    removed = [
        row for row in app.conversion_meanings.all() if added.pop(row.definition(), None) is None
    ]
    for row in removed:
        row.delete()
    for meaning in added.values():
        meaning.save()
    return bool(removed or added)
