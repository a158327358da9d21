"""Tables of no tenant: counts and cache entries, exchange rates, the progress of jobs."""

from django.db import models
from django.db.models.functions import Now


class RateCount(models.Model):
    """How often something was called in one window; the name is a hash and the window's number.

    Unlogged, as the cache is: both may be lost.
    """

    name = models.CharField(max_length=64, primary_key=True)
    count = models.BigIntegerField()
    ends_at = models.DateTimeField(db_index=True)

    class Meta:
        db_table = "rate_count"

    def __str__(self) -> str:
        return self.name


class CacheEntry(models.Model):
    """A value of Django's cache, where there is no Redis."""

    key = models.CharField(max_length=255, primary_key=True)
    value = models.TextField()
    ends_at = models.DateTimeField(db_index=True)

    class Meta:
        db_table = "cache_entry"

    def __str__(self) -> str:
        return self.key


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


class Tidying(models.Model):
    """The progress of one job: everything received until `through` is done. Of no organization.

    A job that goes row by row has also done the rows up to `last_id`.
    """

    name = models.CharField(max_length=32, primary_key=True)
    through = models.DateTimeField()
    last_id = models.BigIntegerField(default=0)

    class Meta:
        db_table = "tidying"

    def __str__(self) -> str:
        return f"{self.name} through {self.through}"
