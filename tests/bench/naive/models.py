"""The reference's tables."""

from django.db import models


class Key(models.Model):
    """This is a key with which an app reports."""

    secret = models.CharField(max_length=64, unique=True)
    app = models.CharField(max_length=120)

    is_authenticated = True  # REST framework asks its user this

    def __str__(self) -> str:
        return self.app


class Rule(models.Model):
    """This says which events are sent where."""

    trigger = models.CharField(max_length=64, db_index=True)
    url = models.TextField()
    active = models.BooleanField(default=True)

    def __str__(self) -> str:
        return self.url


class Event(models.Model):
    """This is what an app reported."""

    event_id = models.UUIDField(unique=True)
    event_name = models.CharField(max_length=64)
    install_id = models.CharField(max_length=64)
    idfa = models.CharField(max_length=64, blank=True)
    ip_address = models.GenericIPAddressField(null=True)
    user_agent = models.TextField(blank=True)
    revenue = models.DecimalField(max_digits=12, decimal_places=2, null=True)
    currency = models.CharField(max_length=3, blank=True)
    params = models.JSONField(default=dict)
    key = models.ForeignKey(Key, models.PROTECT)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return str(self.event_id)


class Postback(models.Model):
    """This is one request that is owed for an event."""

    event = models.ForeignKey(Event, models.CASCADE)
    rule = models.ForeignKey(Rule, models.CASCADE)
    url = models.TextField()
    status = models.CharField(max_length=16, default="pending", db_index=True)
    attempts_made = models.PositiveIntegerField(default=0)

    def __str__(self) -> str:
        return self.url


class Attempt(models.Model):
    """This is one try of a postback."""

    postback = models.ForeignKey(Postback, models.CASCADE)
    status_code = models.PositiveSmallIntegerField(null=True)
    response = models.TextField(blank=True)
    error = models.TextField(blank=True)
    duration_ms = models.PositiveIntegerField()
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return str(self.status_code)
