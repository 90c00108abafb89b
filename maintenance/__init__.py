"""Operations for Django + Celery. This module imports nothing, so that the probe starts in milliseconds."""
