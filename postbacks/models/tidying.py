"""The progress of jobs that go through the logs."""

from django.db import models


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
