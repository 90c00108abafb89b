"""A ready Django + Celery project that uses the maintenance app."""

from .celery import app as celery_app

__all__ = ("celery_app",)
