"""Planning Flower, the web page that watches workers and may stop them: never open to the world without a password."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .. import process
from ..errors import CannotWrite, ConfigurationError, MaintenanceError

CREDENTIALS = "FLOWER_BASIC_AUTH"
DATABASE = "flower"
MAX_TASKS = 10_000
# Seconds: a killed Flower loses so much of its memory; a worker that is gone is shown for so long.
SAVED_EVERY, PURGED_AFTER = 60, 300


class CredentialsInArgv(ConfigurationError):
    """--basic-auth takes no value: every user of this machine can read a command line."""

    hint = f"Put USER:PASSWORD into the environment variable {CREDENTIALS} and pass --basic-auth alone."


class NoCredentials(ConfigurationError):
    """--basic-auth finds no USER:PASSWORD in the environment variable {variable!r}."""

    hint = f"Set {CREDENTIALS}=USER:PASSWORD (several, separated by commas)."


class OpenToTheWorld(MaintenanceError):
    """Flower would listen on {address!r} without a password: whoever reaches it could stop your workers."""

    exit_code = 4
    hint = f"Set {CREDENTIALS}=USER:PASSWORD and pass --basic-auth, or leave --address at 127.0.0.1."


@dataclass(frozen=True)
class FlowerPlan:
    """A Flower to start: where it listens, whether one must sign in, the program, and its secrets (never shown)."""

    app: str
    address: str
    port: int
    signs_in: bool
    database: Path
    url_prefix: str
    argv: tuple[str, ...]
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)


def plan(
    *,
    python: str,
    app: str,
    address: str,
    port: int,
    basic_auth: bool | str,
    environ: Mapping[str, str],
    folder: Path = Path("var"),
    url_prefix: str = "",
    max_tasks: int = MAX_TASKS,
) -> FlowerPlan:
    """Return the plan. ``basic_auth`` is the flag; a text is what somebody wrongly wrote after it.

    What Flower has seen is kept in ``folder``. Raises CredentialsInArgv, NoCredentials, OpenToTheWorld.
    """
    if isinstance(basic_auth, str):
        raise CredentialsInArgv()
    credentials = environ.get(CREDENTIALS, "")
    if basic_auth and not _are_credentials(credentials):
        raise NoCredentials(variable=CREDENTIALS)
    if not basic_auth and not _is_loopback(address):
        raise OpenToTheWorld(address=address)
    database, prefix = folder / DATABASE, url_prefix.strip("/")
    argv = [python, "-m", "celery", "-A", app, "flower", f"--address={address}", f"--port={port}"]
    argv += ["--persistent=True", f"--db={database}", f"--state_save_interval={SAVED_EVERY * 1000}"]
    argv += [f"--max_tasks={max_tasks}", f"--purge_offline_workers={PURGED_AFTER}"]
    if prefix:
        argv.append(f"--url_prefix={prefix}")
    secrets = {CREDENTIALS: credentials} if basic_auth else {}
    return FlowerPlan(app, address, port, basic_auth, database, prefix, tuple(argv), secrets)


def explain(plan: FlowerPlan) -> list[str]:
    """Return the plan in a few lines, without its secrets."""
    shown = f"[{plan.address}]" if ":" in plan.address else plan.address
    who = f"who knows a password in {CREDENTIALS}" if plan.signs_in else "everybody on this machine"
    path = f"{plan.url_prefix}/" if plan.url_prefix else ""
    return [f"Flower of {plan.app} at http://{shown}:{plan.port}/{path} for {who}", f"$ {' '.join(plan.argv)}"]


def command(plan: FlowerPlan) -> process.Command:
    """Return the program that the plan describes, and make the folder of its database. Raises CannotWrite."""
    try:
        plan.database.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CannotWrite(path=str(plan.database.parent), reason=error.strerror or str(error)) from error
    return process.Command(args=plan.argv, secrets=plan.secrets)


def _are_credentials(text: str) -> bool:
    pairs = [pair.partition(":") for pair in text.split(",")]
    return all(user.strip() and password.strip() for user, _, password in pairs)


def _is_loopback(address: str) -> bool:
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:  # a host name, or nothing: Flower would listen on every address
        return False
