"""The app's own tables: leases, schedules that we own, what beat has still to send, the ops page's permissions."""

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


class Operations(models.Model):
    """No table: what the permissions of the ops page, and its place in the admin, belong to."""

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
