"""The patterns of good Celery use, as running and tested code."""
