from __future__ import annotations

from django.db import models

from securecore.instants import InstantField


class LastRun(models.Model):
    """The last run of one job. A later run replaces the row, so the table stays as small as the list of jobs."""

    #: ``purge``, or the id of a trial of ``securecore_prove``, for example ``P201``.
    name = models.CharField(max_length=16, primary_key=True)
    #: The end of the run.
    at = InstantField()
    #: The name of the host that ran the job.
    host = models.CharField(max_length=255)
    #: Of a trial: its outcome, for example ``kept``. Of the purge: ``finished``, or ``stopped`` by its time limit.
    outcome = models.CharField(max_length=16)
    detail = models.TextField()

    class Meta:
        db_table = "securecore_last_run"

    def __str__(self) -> str:
        return f"{self.name} {self.outcome} at {self.at:%Y-%m-%d %H:%M:%S}"


class ControlRoom(LastRun):
    """The control room's place in Django's admin and its permission, ``securecore.view_controlroom``. No table."""

    class Meta:
        proxy = True
        default_permissions = ("view",)
        verbose_name = verbose_name_plural = "control room"
