"""Task results: which are deleted, and when. The one home of django-celery-results."""
