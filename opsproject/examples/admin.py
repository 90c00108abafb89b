"""The examples' rows in the admin."""

from django.contrib import admin
from django.http import HttpRequest

from .models import Article, PageInfo


@admin.register(Article)
class ArticleAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # not subscriptable at run time
    """Articles with their views."""

    list_display = ("title", "views")
    search_fields = ("title", "body")
    readonly_fields = ("views",)


@admin.register(PageInfo)
class PageInfoAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # not subscriptable at run time
    """Pages that the chain fetched, newest first: to be read, since only the chain writes them."""

    list_display = ("url", "title", "links", "fetched_at")
    search_fields = ("url", "title")
    readonly_fields = ("url", "title", "links", "fetched_at")
    ordering = ("-fetched_at",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Return False."""
        return False
