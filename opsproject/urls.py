"""URLs of opsproject: the admin and the examples."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("", include("opsproject.examples.urls")),
]
