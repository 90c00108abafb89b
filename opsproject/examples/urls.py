"""URLs of the examples."""

from django.urls import path

from . import views

app_name = "examples"

urlpatterns = [
    path("", views.index, name="index"),
    path("test/", views.test, name="test"),
    path("tasks/<str:task_id>/", views.task, name="task"),
    path("start/<slug:name>/", views.start, name="start"),
    path("articles/", views.publish, name="publish"),
    path("articles/<int:article_id>/", views.edit, name="edit"),
    path("articles/<int:article_id>/expand/", views.expand, name="expand"),
    path("articles/<int:article_id>/views/", views.count_view, name="count_view"),
]
