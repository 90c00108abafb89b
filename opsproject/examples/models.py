"""What the examples work on: articles, and what was learned of fetched pages."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class Article(models.Model):
    """A text whose abbreviations a task expands."""

    title = models.CharField(_("title"), max_length=200)
    body = models.TextField(_("body"))
    views = models.PositiveIntegerField(_("views"), default=0, editable=False)

    class Meta:
        verbose_name = _("article")
        verbose_name_plural = _("articles")

    def __str__(self) -> str:
        return self.title


class PageInfo(models.Model):
    """What the fetch, parse, store chain learned of a page; one row a URL."""

    url = models.URLField(_("URL"), max_length=500, unique=True)
    title = models.CharField(_("title"), max_length=300, blank=True)
    links = models.PositiveIntegerField(_("links"))
    fetched_at = models.DateTimeField(_("fetched at"), auto_now=True)

    class Meta:
        verbose_name = _("page info")
        verbose_name_plural = _("page infos")

    def __str__(self) -> str:
        return self.url
