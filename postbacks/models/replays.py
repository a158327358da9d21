"""Replays: many postbacks sent again because a person asks for it, and how far each one is."""

import uuid

from django.contrib.postgres.fields import ArrayField
from django.db import models

from apps_registry.tenancy import TenantModel
from postbacks.models.postbacks import Postback
from postbacks.models.rules import CallbackRule

USUAL_PER_SECOND = 50
MOST_PER_SECOND = 500


class ReplayStatus(models.TextChoices):
    """The state of a replay."""

    RUNNING = "running", "Running"
    FINISHED = "finished", "Finished"
    CANCELLED = "cancelled", "Cancelled"


class ReplayedState(models.TextChoices):
    """What a replayed postback waits for. Once it has ended, it is only counted."""

    QUEUED = "queued", "Its first try by the replay"
    RETRYING = "retrying", "Another try"
    HELD = "held", "Its suspended rule"


class Replay(TenantModel):
    """What was asked for: a filter of the delivery log or a list of postbacks, and how fast.

    `fingerprint` is a digest of the request: of two that are the same one runs.
    """

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    filter = models.JSONField(default=dict)
    postback_ids = ArrayField(models.UUIDField(), default=list)
    as_decided = models.BooleanField(default=False)
    include_delivered = models.BooleanField(default=False)
    per_second = models.PositiveIntegerField(default=USUAL_PER_SECOND)
    count = models.PositiveIntegerField(default=0)  # by the estimate at the start
    fingerprint = models.CharField(max_length=64)
    asked_by = models.CharField(max_length=255, blank=True)
    next_at = models.DateTimeField()  # when the pace limit allows the next postback
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True)
    cancelled_at = models.DateTimeField(null=True)

    class Meta(TenantModel.Meta):
        db_table = "replay"
        verbose_name = "replay"
        constraints = [
            models.UniqueConstraint(fields=["organization", "id"], name="replay_of_organization"),
            models.UniqueConstraint(
                fields=["organization", "fingerprint"],
                condition=models.Q(finished_at=None),
                name="one_running_replay_per_request",
            ),
        ]

    def __str__(self) -> str:
        return f"Replay of {self.count:,} postback{'s' if self.count != 1 else ''}"

    @property
    def status(self) -> ReplayStatus:
        if self.cancelled_at is not None:
            return ReplayStatus.CANCELLED
        return ReplayStatus.RUNNING if self.finished_at is None else ReplayStatus.FINISHED


class ReplayPart(TenantModel):
    """The share of a replay that one rule has: where its worker continues, and what came out.

    `after_event` and `after_attribution` are the key of the last postback that was looked at. What
    was looked at is counted once: as ended (`sent`, `failed`, `skipped` by reason, `taken_back`) or
    as what it waits for.
    """

    replay = models.ForeignKey(
        Replay, models.PROTECT, db_constraint=False, related_name="parts", related_query_name="part"
    )
    rule = models.ForeignKey(CallbackRule, models.DO_NOTHING, db_constraint=False, related_name="+")
    count = models.PositiveIntegerField()
    after_event = models.BigIntegerField(default=0)
    after_attribution = models.PositiveIntegerField(default=0)
    is_through = models.BooleanField(default=False)  # all were looked at
    queued = models.PositiveIntegerField(default=0)
    retrying = models.PositiveIntegerField(default=0)
    held = models.PositiveIntegerField(default=0)
    sent = models.PositiveIntegerField(default=0)
    failed = models.PositiveIntegerField(default=0)
    skipped = models.JSONField(default=dict)
    taken_back = models.PositiveIntegerField(default=0)
    due_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)

    class Meta(TenantModel.Meta):
        db_table = "replay_part"
        constraints = [
            models.UniqueConstraint(fields=["organization", "id"], name="part_of_organization"),
            models.UniqueConstraint(
                fields=["organization", "replay", "rule"], name="one_part_per_replay_and_rule"
            ),
        ]
        indexes = [
            models.Index(
                fields=["due_at"], condition=models.Q(finished_at=None), name="replay_part_due"
            )
        ]

    def __str__(self) -> str:
        return f"{self.rule_id}: {self.count}"


class ReplayedPostback(TenantModel):
    """A postback that a replay has queued and that has not ended since, and how it was before."""

    part = models.ForeignKey(ReplayPart, models.PROTECT, db_constraint=False, related_name="+")
    postback = models.ForeignKey(Postback, models.DO_NOTHING, db_constraint=False, related_name="+")
    event_received_at = models.DateTimeField()
    state = models.CharField(
        max_length=8, choices=ReplayedState.choices, default=ReplayedState.QUEUED
    )
    status_before = models.CharField(max_length=16)
    reason_before = models.CharField(max_length=64, blank=True)
    attempts_before = models.PositiveIntegerField()
    look_at = models.DateTimeField()  # when its outcome is looked for

    class Meta(TenantModel.Meta):
        db_table = "replayed_postback"
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "part", "postback"], name="one_postback_per_replay"
            )
        ]
        indexes = [models.Index(fields=["look_at"], name="replayed_postback_to_look_at")]

    def __str__(self) -> str:
        return f"{self.postback_id}: {self.state}"
