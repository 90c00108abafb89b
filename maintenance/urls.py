"""URLs of health and metrics: path("", include("maintenance.urls"))."""

from django.urls import path

from . import views

app_name = "maintenance"
urlpatterns = [
    path("healthz/live", views.live, name="live"),
    path("healthz/ready", views.Ready.as_view(), name="ready"),
    path("healthz/", views.Health.as_view(), name="health"),
    path("metrics", views.Metrics.as_view(), name="metrics"),
]
