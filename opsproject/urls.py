"""URLs of opsproject: the admin, health and metrics, and the examples."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("", include("maintenance.urls")),
    path("", include("opsproject.examples.urls")),
]
