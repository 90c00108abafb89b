"""Schedules: what the settings declare, what the tables hold, and how one becomes the other."""
