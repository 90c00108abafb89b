"""The app's own tables: leases, and which schedules we own."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class Lease(models.Model):
    """Who holds a name, since when and until when. Compared with the database's clock only."""

    name = models.CharField(_("name"), max_length=150, primary_key=True)
    holder = models.CharField(_("holder"), max_length=255)
    reason = models.CharField(_("reason"), max_length=255, blank=True)
    since = models.DateTimeField(_("since"))
    expires = models.DateTimeField(_("expires"), db_index=True)

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
