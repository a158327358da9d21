"""Counts and cache entries that processes share. Of no tenant; unlogged, for they may be lost."""

from django.db import models


class RateCount(models.Model):
    """How often something was called in one window; the name is a hash and the window's number."""

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
