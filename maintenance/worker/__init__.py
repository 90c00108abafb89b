"""Planning and starting a Celery worker."""
