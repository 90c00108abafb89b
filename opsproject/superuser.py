"""The development superuser: made once, with a random password in a file that only this user can read."""

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from django.contrib.auth import get_user_model

from maintenance.errors import CannotWrite

USERNAME = "admin"


@dataclass(frozen=True)
class SignIn:
    """How to sign in to the admin: as whom, and the file that holds the password (None: it is not ours to know)."""

    username: str | None
    password_file: Path | None
    created: bool


def ensure(*, password_file: Path) -> SignIn:
    """Return how to sign in; where no superuser exists, create one and write its password to ``password_file``.

    Raises CannotWrite.
    """
    users = get_user_model().objects
    if not users.filter(is_superuser=True).exists() and not users.filter(username=USERNAME).exists():
        password = secrets.token_urlsafe(15)
        _write_private(password_file, password)
        users.create_superuser(USERNAME, "admin@localhost", password)
        return SignIn(USERNAME, password_file, created=True)
    user = users.filter(username=USERNAME, is_superuser=True, is_active=True).first()
    if user is not None and password_file.is_file() and user.check_password(password_file.read_text().strip()):
        return SignIn(USERNAME, password_file, created=False)
    return SignIn(None, None, created=False)


def _write_private(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(f"{text}\n")
    except OSError as error:
        raise CannotWrite(path=str(path), reason=error.strerror or str(error)) from error
