"""Exchange rates by day. They belong to no tenant: everybody's euro is worth the same."""

from django.db import models
from django.db.models.functions import Now


class ExchangeRate(models.Model):
    """The price of one unit of a currency in US dollars on a day, in use from `known_from` on.

    A row is never changed: a postback that was decided before the rate was known renders without it
    for good, so that all of its attempts are alike.
    """

    day = models.DateField()
    currency = models.CharField(max_length=3)
    usd = models.DecimalField(max_digits=36, decimal_places=18)
    known_from = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "exchange_rate"
        constraints = [
            models.UniqueConstraint(
                fields=["day", "currency"], name="one_rate_per_day_and_currency"
            ),
            models.CheckConstraint(condition=models.Q(usd__gt=0), name="a_rate_is_positive"),
        ]

    def __str__(self) -> str:
        return f"{self.currency} {self.day}"
