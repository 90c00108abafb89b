"""Schedules: what the settings declare, what the tables hold, and how one becomes the other."""

from .pack import MAINTENANCE_SCHEDULE

__all__ = ["MAINTENANCE_SCHEDULE"]
