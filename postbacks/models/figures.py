"""Counts of what happens, kept as it happens and longer than the logs that they count.

A statement that decides, sends or skips appends rows of `FigureChange` in its own transaction, so
that they are right after any crash and no two workers wait for one row. Each minute a worker folds
them into `Figure` and into `FigureTotal`; until then readers add what is not folded.
"""

from django.db import models

from apps_registry.tenancy import TenantModel


class FigureKind(models.TextChoices):
    """What is counted, and what `state` and `code` say of it."""

    EVENT = "event", "Events"  # code: the currency of `amount`
    POSTBACK = "postback", "Postbacks"  # state: see `FlowState`; code: the reason
    ATTEMPT = "attempt", "Attempts"  # state: the outcome; code: the status code, or the error
    DELIVERY = "delivery", "Deliveries"  # code: the step of the time that it took
    INSTALL = "install", "Installs"  # state: the kind of credit; code: the kind of install


class FlowState(models.TextChoices):
    """A postback's state as figures know it: pending ones are split by whether they were tried."""

    PENDING = "pending", "Pending"
    RETRYING = "retrying", "Retrying"
    DELIVERED = "delivered", "Delivered"
    FAILED = "failed", "Failed"
    SKIPPED = "skipped", "Skipped"


class FigureSpan(models.IntegerChoices):
    """How many minutes a row stands for. Days are those of the organization's time zone.

    Hours are UTC's, and only totals have them.
    """

    MINUTE = 1, "Minute"
    QUARTER = 15, "Quarter of an hour"
    HOUR = 60, "Hour"
    DAY = 1440, "Day"


class TotalOf(models.TextChoices):
    """What a total is of. All columns that say whose a figure is are 0 but the ones named here."""

    ALL = "all", "Everything"
    RULES = "rules", "Rules"  # app, rule
    CAMPAIGNS = "campaigns", "Campaigns"  # app, partner, campaign


OTHER_EVENTS = "*other*"  # stands for the names of a day that came after its first 200


class _Counted(TenantModel):
    """What is counted when, for whom. 0 stands for none: a unique key holds no nulls.

    `partner_ref` and `campaign_ref` are who is credited, as the event was decided; a postback's
    partner is its rule's.
    """

    at = models.DateTimeField()  # the beginning of the span
    kind = models.CharField(max_length=8, choices=FigureKind.choices)
    app_ref = models.BigIntegerField(default=0)
    rule_ref = models.BigIntegerField(default=0)
    partner_ref = models.BigIntegerField(default=0)
    campaign_ref = models.BigIntegerField(default=0)
    state = models.CharField(max_length=16, blank=True)
    code = models.CharField(max_length=64, blank=True)
    count = models.BigIntegerField()
    amount = models.DecimalField(max_digits=38, decimal_places=12, null=True)

    class Meta(TenantModel.Meta):
        abstract = True

    def __str__(self) -> str:
        return f"{self.at} {self.kind} {self.state} {self.code}: {self.count}"


class FigureChange(_Counted):
    """A change of a minute's figures that is not folded yet."""

    event_name = models.CharField(max_length=64, blank=True)

    class Meta(_Counted.Meta):
        abstract = False
        db_table = "figure_change"


class Figure(_Counted):
    """The figures of a minute, a quarter of an hour or a day."""

    event_name = models.CharField(max_length=64, blank=True)
    span = models.PositiveSmallIntegerField(choices=FigureSpan.choices)

    class Meta(_Counted.Meta):
        abstract = False
        db_table = "figure"


class FigureTotal(_Counted):
    """Figures summed up over event names and over more, so that a period has few rows.

    A figure has a row for each combination of app, rule, campaign, event name and code; the page
    of an organization with many of them would read very many rows. Minutes and quarters of hours
    have only the totals of all.
    """

    total_of = models.CharField(max_length=9, choices=TotalOf.choices)
    span = models.PositiveSmallIntegerField(choices=FigureSpan.choices)

    class Meta(_Counted.Meta):
        abstract = False
        db_table = "figure_total"


class FigureName(TenantModel):
    """One of the event names that a day's figures know. The day is UTC's."""

    day = models.DateField()
    event_name = models.CharField(max_length=64)

    class Meta(TenantModel.Meta):
        db_table = "figure_name"

    def __str__(self) -> str:
        return f"{self.day} {self.event_name}"


class FigureZone(TenantModel):
    """The time zone that an organization's days were folded for."""

    time_zone = models.CharField(max_length=64)

    class Meta(TenantModel.Meta):
        db_table = "figure_zone"

    def __str__(self) -> str:
        return self.time_zone


class LastOutcome(TenantModel):
    """When attempts of a rule, for an app and a campaign, last delivered and last failed.

    Written as figures are folded, to their minute. 0 stands for none.
    """

    app_ref = models.BigIntegerField()
    rule_ref = models.BigIntegerField()
    campaign_ref = models.BigIntegerField()
    delivered_at = models.DateTimeField(null=True)
    failed_at = models.DateTimeField(null=True)

    class Meta(TenantModel.Meta):
        db_table = "last_outcome"

    def __str__(self) -> str:
        return f"{self.rule_ref}: {self.delivered_at}, {self.failed_at}"


class OutcomeHour(TenantModel):
    """How the postbacks of an hour's events have ended, kept for a little more than a day.

    Written as figures are folded. A list of ten thousand rules is sorted by these: its day has a
    hundred times as many figures.
    """

    at = models.DateTimeField()  # the beginning of an hour of UTC
    app_ref = models.BigIntegerField()
    rule_ref = models.BigIntegerField()
    campaign_ref = models.BigIntegerField()
    delivered = models.BigIntegerField()
    failed = models.BigIntegerField()

    class Meta(TenantModel.Meta):
        db_table = "outcome_hour"

    def __str__(self) -> str:
        return f"{self.at} {self.rule_ref}: {self.delivered}, {self.failed}"
