"""URLs of the examples."""

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
