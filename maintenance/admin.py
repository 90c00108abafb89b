"""The ops page's place in the admin: Maintenance → Operations."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path

from . import models


@admin.register(models.Operations)
class OperationsAdmin(admin.ModelAdmin):  # type: ignore[type-arg] # not subscriptable at run time
    """No rows: the page, and what can be done from it."""

    def get_urls(self) -> list[URLPattern]:
        """Return the page's own URLs only."""
        # Not above: every command imports this module, and the page all that it shows, checks and their clients too.
        from .operations import views

        return [
            path("", self._wrapped(views.show), name="maintenance_operations_changelist"),
            path("failure/<str:task_id>/", self._wrapped(views.failure), name="maintenance_operations_failure"),
            path("<slug:name>/", self._wrapped(views.act), name="maintenance_operations_action"),
        ]

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return whether the user may see the page."""
        return request.user.has_perm(models.Operations.VIEW)

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Return whether the admin's index shows it."""
        return self.has_view_permission(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Return False: there are no rows."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return False: there are no rows."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return False: there are no rows."""
        return False

    def _wrapped(self, view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
        def with_context(request: HttpRequest, **given: Any) -> HttpResponseBase:
            return view(request, {**self.admin_site.each_context(request), "opts": self.opts}, **given)

        return self.admin_site.admin_view(with_context)
