"""The app's own tables: leases, schedules that we own, what beat has still to send, what checks were told."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class Lease(models.Model):
    """Who holds a name, since when and until when. Compared with the database's clock only."""

    name = models.CharField(_("name"), max_length=150, primary_key=True)
    holder = models.CharField(_("holder"), max_length=255)
    reason = models.CharField(_("reason"), max_length=255, blank=True)
    since = models.DateTimeField(_("since"))
    expires = models.DateTimeField(_("expires"), db_index=True)
    generation = models.PositiveBigIntegerField(_("generation"), default=1)
    finished = models.DateTimeField(
        _("finished"), null=True, help_text=_("When its holder's work was done: it is then not done again.")
    )

    class Meta:
        verbose_name = _("lease")
        verbose_name_plural = _("leases")

    def __str__(self) -> str:
        return f"{self.name}: {self.holder}"

    @property
    def host_and_process(self) -> str:
        """The holder without the random part that lease.this_process() ends it with."""
        return self.holder.rpartition(":")[0] or self.holder


class ManagedSchedule(models.Model):
    """A schedule that sync_schedules created, and what it last applied. Only these are ever updated by it."""

    name = models.CharField(_("name"), max_length=200, primary_key=True)
    fingerprint = models.CharField(_("fingerprint"), max_length=64)
    applied_at = models.DateTimeField(_("applied at"))
    applied = models.JSONField(_("applied"), default=dict, help_text=_("The row's fields as they were last applied."))
    options = models.JSONField(
        _("send options"), default=dict, help_text=_("Options that the schedule's own table has no column for.")
    )
    misfire = models.CharField(_("misfire policy"), max_length=40, default="once")
    no_overlap = models.BooleanField(_("no overlap"), default=False)
    ping = models.URLField(_("ping URL"), blank=True, default="", max_length=500)

    class Meta:
        verbose_name = _("managed schedule")
        verbose_name_plural = _("managed schedules")

    def __str__(self) -> str:
        return self.name


class Dispatch(models.Model):
    """A due time that beat recorded and has not yet marked as sent: marking it removes the row."""

    task_id = models.CharField(_("task id"), max_length=36, primary_key=True)
    name = models.CharField(_("name"), max_length=200)
    due = models.DateTimeField(_("due"))
    message = models.TextField(_("message"), help_text=_("What is sent, as JSON: task, args, kwargs and options."))

    class Meta:
        verbose_name = _("dispatch")
        verbose_name_plural = _("dispatches")

    def __str__(self) -> str:
        return f"{self.name} {self.due.isoformat()}"


class CheckState(models.Model):
    """A check's state as it was last told, and what the last looks saw."""

    key = models.CharField(_("check"), max_length=200, primary_key=True)
    title = models.CharField(_("title"), max_length=200)
    state = models.CharField(_("state"), max_length=10)
    since = models.DateTimeField(_("since"))
    told = models.DateTimeField(_("told"), null=True)
    seen = models.CharField(_("last seen"), max_length=10)
    seen_since = models.DateTimeField(_("last seen since"))
    looks = models.PositiveSmallIntegerField(_("looks"), default=0)
    version = models.PositiveBigIntegerField(_("version"), default=1)

    class Meta:
        verbose_name = _("check's state")
        verbose_name_plural = _("checks' states")

    def __str__(self) -> str:
        return f"{self.key}: {self.state}"


class Alert(models.Model):
    """A message of a change for one channel: waiting, or sent."""

    change = models.UUIDField(_("change"))
    channel = models.CharField(_("channel"), max_length=60)
    created = models.DateTimeField(_("created"), db_index=True)
    document = models.JSONField(_("document"))
    sent = models.DateTimeField(_("sent"), null=True)
    attempts = models.PositiveIntegerField(_("attempts"), default=0)
    claimed_until = models.DateTimeField(_("claimed until"), null=True)

    class Meta:
        verbose_name = _("alert")
        verbose_name_plural = _("alerts")
        constraints = (models.UniqueConstraint(fields=("change", "channel"), name="maintenance_alert_once"),)
        indexes = (models.Index(fields=("sent", "channel"), name="maintenance_alert_waits"),)

    def __str__(self) -> str:
        return f"{self.channel} {self.change}"


class Operations(models.Model):
    """No table: what the permissions of the ops page, and its place in the admin, belong to."""

    VIEW, RUN = "maintenance.view_operations", "maintenance.run_operations"

    class Meta:
        managed = False
        default_permissions = ()
        permissions = (
            ("view_operations", _("Can see the operations page")),
            ("run_operations", _("Can act on the operations page")),
        )
        verbose_name = _("operations")
        verbose_name_plural = _("operations")

    def __str__(self) -> str:
        return "operations"
