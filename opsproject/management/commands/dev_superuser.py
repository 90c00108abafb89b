"""manage.py dev_superuser"""

from typing import Any

from django.conf import settings

from maintenance.errors import MaintenanceError
from maintenance.management.base import Command as BaseCommand
from opsproject import superuser


class OnlyInDevelopment(MaintenanceError):
    """dev_superuser writes a password to a file, so it works with DEBUG only."""

    exit_code = 4
    hint = "Run `manage.py createsuperuser` instead."


class Command(BaseCommand):
    help = "Create the development superuser where there is none, and say how to sign in. With DEBUG only."

    def handle(self, **options: Any) -> None:
        if not settings.DEBUG:
            raise OnlyInDevelopment()
        sign_in = superuser.ensure(password_file=settings.VAR_DIR / "dev-superuser")
        if sign_in.password_file is None:
            self.answer("Sign in as your own superuser (`manage.py changepassword` gives it a new password).")
            return
        created = "A superuser was created. " if sign_in.created else ""
        self.answer(f"{created}Sign in as {sign_in.username!r} with the password in {str(sign_in.password_file)!r}.")
