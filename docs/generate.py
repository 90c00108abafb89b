"""Writes docs/commands.md, rules.md, settings.md and .env.example from the code; --check fails when one is stale."""

import argparse
import dataclasses
import inspect
import os
import pkgutil
import sys
import textwrap
from collections.abc import Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

NOTE = "<!-- Written by `make docs` from the code. Do not edit. -->"

REFUSED = "the database refused (its tables are missing, say)"

# When each command ends with which status. 0 is the same for all, and 2 (wrong flags or settings) too.
OUTCOMES: dict[str, dict[int, str]] = {
    "backup": {
        1: "a dump failed, no space is left, or one of several databases or destinations failed",
        4: "another backup of this database holds the lock",
        5: "the copy, or what a destination holds of it, is damaged",
        69: "the database, a destination or a dump program is unavailable (or older than the server)",
        73: "a destination cannot be written",
        75: "it was given up after --max-seconds",
    },
    "backup_media": {
        1: "a file was cut short while it was read, no space is left, or one of several destinations failed",
        4: "another backup of these files holds the lock",
        5: "what a destination holds of it is damaged",
        69: "the storage or a destination is unavailable",
        73: "a destination cannot be written",
        75: "it was given up after --max-seconds",
    },
    "clear_cache": {
        4: "the cache shares its Redis database or its entries with somebody else, or --force-shared was not confirmed",
        69: "the cache's server, database or folder is unavailable",
    },
    "clear_files": {73: "some of the files or folders cannot be removed or read"},
    "clear_sessions": {
        1: REFUSED,
        69: "the database is unavailable",
        75: "it stopped at --max-seconds, or was asked to, with some left",
    },
    "doctor": {1: "something is broken, or could not be asked; with --fail-on warning, also a warning"},
    "list_backups": {69: "the storage is unavailable"},
    "list_results": {1: REFUSED, 69: "the database is unavailable"},
    "list_schedules": {
        1: "with --late: a schedule is late; or the database refused",
        69: "the database is unavailable",
    },
    "monitor": {1: "something is broken, or could not be asked", 69: "the database is unavailable: nobody is told"},
    "ops_status": {1: "a part could not be asked: it says so, the others are shown"},
    "pin_backup": {1: "there is no such backup", 73: "the storage cannot be written"},
    "prune_backups": {4: "not confirmed", 69: "the storage is unavailable", 73: "the storage cannot be written"},
    "purge_results": {
        1: REFUSED,
        4: "--vacuum on SQLite was not confirmed",
        69: "the database is unavailable, or went away: what was deleted until then is said",
        73: "the archive cannot be written: what it does not hold was not deleted",
        75: "stopped by --max-seconds, Ctrl-C or SIGTERM, between two batches; run it again",
    },
    "reset_schedules": {1: REFUSED, 4: "not confirmed, or a sync is at work", 69: "the database is unavailable"},
    "restore_backup": {
        1: "there is no such backup, or the database refused: it is as it was",
        4: "not confirmed; the backup is another database's; or others hold the database or the lock",
        5: "the backup is damaged: the database was not touched",
        69: "the database, the storage or a program is unavailable, or a privilege is missing",
        73: "the disk cannot be written",
    },
    "result_stats": {1: REFUSED, 69: "the database is unavailable"},
    "retry_results": {
        1: "a result cannot be sent again (the line says why), or there is none with such an id",
        4: "sending was not confirmed",
        69: "the broker or the database is unavailable",
    },
    "run_beat": {69: "the broker or the database is unavailable"},
    "run_broker": {
        4: "a broker already serves this folder",
        69: "there is no server program, or it ended by itself",
        73: "the folder cannot be written, or others could enter it",
    },
    "run_flower": {4: "it would be open to other machines without a password", 73: "its folder cannot be written"},
    "run_schedule": {
        1: "with --wait: the task failed; or the schedule's arguments are no JSON",
        69: "the broker or the database is unavailable, or with --wait the project keeps no results",
        75: "the task did not finish within --timeout",
    },
    "run_worker": {69: "the broker did not answer within --broker-wait; afterwards the status is Celery's"},
    "sync_schedules": {
        1: "entries, or conflicts with --on-conflict error, were refused: nothing was written; or the database refused",
        3: "with --check: something would change",
        4: "another sync is at work, or deleting was not confirmed",
        69: "the database is unavailable",
    },
    "unpin_backup": {1: "there is no such backup", 73: "the storage cannot be written"},
    "vacuum": {
        1: REFUSED,
        4: "on SQLite it was not confirmed",
        69: "the database is unavailable or locked, or has no room for it: nothing was changed",
    },
    "verify_backup": {
        1: "there is no such backup",
        5: "a backup is damaged",
        69: "the server, the storage or a program is unavailable, or a privilege is missing: the dump was read only",
        73: "the disk or the storage cannot be written",
    },
}


def main() -> int:
    """Write the files, or compare them with --check. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; end with 1 when a file is stale")
    check: bool = parser.parse_args().check
    stale = [path for path, text in files().items() if not path.is_file() or path.read_text("utf-8") != text]
    for path in stale:
        name = path.relative_to(ROOT).as_posix()
        if check:
            sys.stderr.write(f"{name} is stale. Run `make docs` and commit it.\n")
        else:
            path.write_text(files()[path], "utf-8", newline="\n")
            sys.stdout.write(f"Wrote {name}.\n")
    return 1 if stale and check else 0


def files() -> dict[Path, str]:
    """Return every generated file with its text. Needs Django to be set up."""
    return {
        ROOT / "docs/commands.md": "\n".join(commands()) + "\n",
        ROOT / "docs/rules.md": "\n".join(rules()) + "\n",
        ROOT / "docs/settings.md": "\n".join(settings()) + "\n",
        ROOT / ".env.example": "\n".join(example()) + "\n",
    }


def commands() -> Iterator[str]:
    """Yield the lines of docs/commands.md."""
    from maintenance.management import commands as package

    yield from ("# Commands", "", NOTE, "")
    yield from paragraph(
        "Every command also takes Django's own options: `-v 0` silences it, `--no-color` and `NO_COLOR` take the "
        "colour away, `--settings` names the project. The answer goes to stdout, commentary to stderr."
    )
    yield from paragraph(
        "Every command ends with 0 when it did its work and with 2 when its flags or the project's settings are "
        "wrong; the message says which, and what to do. Commands that prompt take Enter as no, and where there is "
        "no terminal they need `--noinput` (status 4 without it)."
    )
    for name in sorted(module.name for module in pkgutil.iter_modules(package.__path__)):
        yield from command(name)


def command(name: str) -> Iterator[str]:
    """Yield a command's section."""
    from django.core.management import load_command_class
    from django.core.management.base import BaseCommand

    loaded = load_command_class("maintenance", name)
    common = {action.dest for action in BaseCommand().create_parser("manage.py", name)._actions}
    actions = [action for action in loaded.create_parser("manage.py", name)._actions if action.dest not in common]
    yield from (f"## {name}", "", loaded.help, "", "```")
    yield from wrapped(f"manage.py {name}", [usage(action) for action in actions])
    yield from ("```", "")
    if actions:
        yield from table(("Option", "Default", "Meaning"), (option(action) for action in actions))
    prompts = "self.confirm(" in inspect.getsource(type(loaded))
    yield from paragraph("Prompts before it changes anything." if prompts else "Never prompts.")
    if name not in OUTCOMES:
        raise SystemExit(f"docs/generate.py: OUTCOMES lacks {name!r}.")
    codes = {0: "done", **OUTCOMES[name], 2: "flags or settings are wrong"}
    yield from table(("Status", "When"), ((str(code), codes[code]) for code in sorted(codes)))


def wrapped(first: str, parts: list[str]) -> Iterator[str]:
    """Yield ``first`` and the parts in lines of up to 100 characters; a part is never broken."""
    line = first
    for part in parts:
        if len(line) + 1 + len(part) > 100:
            yield line
            line = "   "
        line += f" {part}"
    yield line


def usage(action: argparse.Action) -> str:
    """Return an option as the usage line shows it."""
    if not action.option_strings:
        return f"[{action.metavar or action.dest} …]" if action.nargs == "*" else str(action.metavar or action.dest)
    return f"[{action.option_strings[0]}{operand(action)}]"


def operand(action: argparse.Action) -> str:
    """Return what follows an option: nothing for a flag, else a blank and the name of its value."""
    if action.nargs == 0 or action.metavar == "":
        return ""
    many = " …" if action.nargs in ("+", "*") else ""
    return f" {action.metavar or action.dest.upper()}{many}"


def option(action: argparse.Action) -> tuple[str, str, str]:
    """Return an option's row: its spellings, its default, its help."""
    spellings = ", ".join(f"`{spelling}{operand(action)}`" for spelling in action.option_strings)
    default = "" if action.nargs == 0 or action.default is None else quoted(written(action.default))
    text = (action.help or "") % {**vars(action), "prog": "manage.py"}
    if action.choices and action.dest != "database":
        text += f" ({', '.join(map(str, action.choices))})"
    return spellings or f"`{action.metavar}`", default, text


def rules() -> Iterator[str]:
    """Yield the lines of docs/rules.md."""
    from maintenance.health.checks import KINDS
    from maintenance.health.rules import RULES

    yield from ("# Rules", "", NOTE, "")
    yield from paragraph(
        "What `manage.py doctor` knows of settings that bite, without asking any service. A finding is a warning or "
        "an error and says which setting to paste; `doctor --explain ID` tells the reason and what it finds in this "
        "project. Those that matter in production only are asked with `--deploy`; `--tag` chooses by subject. A rule "
        'that does not fit is silenced by its id: `SILENCED_SYSTEM_CHECKS = ["maintenance.ID"]`.'
    )
    tags = dict.fromkeys(rule.tag for rule in RULES.values())
    for tag in tags:
        yield from (f"## {tag}", "")
        for rule in (each for each in RULES.values() if each.tag == tag):
            when = ", with `--deploy`" if rule.deploy else ""
            also = f", {rule.check}" if rule.check else ""
            yield from (f"### {rule.id}", "", f"{rule.severity.capitalize()}{when}{also}. **{rule.consequence}**", "")
            yield from paragraph(rule.reason)
    yield from ("## Live checks", "")
    yield from paragraph(
        "What doctor, `/healthz/`, `/metrics`, the ops page and the monitor ask of the services themselves. `doctor "
        "--explain ID` asks one alone. Several of a kind have a name after their id, as `database:other`."
    )
    for kind in sorted(KINDS, key=lambda kind: kind.id):
        yield from (f"### {kind.id}", "")
        yield from paragraph(" ".join((kind.__doc__ or "").split()))
        yield from paragraph(" ".join(filter(None, (f"Else: **{kind.consequence}**", kind.cure))))


def settings() -> Iterator[str]:
    """Yield the lines of docs/settings.md."""
    from maintenance import conf
    from opsproject.environment import VARIABLES

    yield from ("# Settings", "", NOTE, "", "## The app: `settings.MAINTENANCE`", "")
    yield from paragraph(
        "One dict, a section a subject; every key may be left out. An unknown key or a wrong value is an error of "
        "`manage.py check` (maintenance.E001) and ends every command with status 2."
    )
    yield from ("```python", 'MAINTENANCE = {"BACKUPS": {"KEEP_LAST": 14}, "RESULTS": {"KEEP_FOR": "30d"}}', "```", "")
    for section in (*conf.SECTIONS.values(), conf.Profile, conf.Schedule, conf.Root):
        yield from (f"### {(section.__doc__ or '').splitlines()[0].replace('``', '`')}", "")
        yield from table(("Key", "Value", "Default", "Change it when"), map(key, dataclasses.fields(section)))
    yield from ("## The project: environment variables", "")
    yield from paragraph(
        "`opsproject` reads these, and a `.env` file beside manage.py for those that are not set. An empty one counts "
        "as not set. A wrong value is one line that names the variable, and status 2."
    )
    rows = ((f"`{each.name}`", each.kind, quoted(written(each.default)), each.meaning) for each in VARIABLES)
    yield from table(("Variable", "Kind", "Default", "Meaning"), rows)
    yield from paragraph(
        "Others read `PORT` (`make up`, the Procfile's web), `WEB_CONCURRENCY` (gunicorn), `NO_COLOR` (Django), and "
        "`DYNO`, `RENDER`, `RAILWAY_*`, `DOKKU_*` (run_worker, which knows each host's grace)."
    )


def key(entry: "dataclasses.Field[Any]") -> tuple[str, str, str, str]:
    """Return the row of a key of settings.MAINTENANCE."""
    from maintenance import conf, units

    default = entry.default if entry.default is not dataclasses.MISSING else ""
    if entry.metadata["kind"] is conf.SIZE and default is not None:
        default = units.human_size(int(str(default)))
    shown = "" if default is None else quoted(written(default))
    return f"`{entry.name.upper()}`", entry.metadata["kind"].expected, shown, entry.metadata["when"]


def example() -> Iterator[str]:
    """Yield the lines of .env.example."""
    from opsproject.environment import VARIABLES

    yield "# Copy to .env and set what differs. Written by `make docs` from opsproject/environment.py."
    for variable in VARIABLES:
        yield from ("", *textwrap.wrap(variable.meaning, 100, initial_indent="# ", subsequent_indent="# "))
        yield f"# {variable.name}={written(variable.default)}"


def written(value: object) -> str:
    """Return a default the way somebody would write it."""
    from maintenance import units

    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, timedelta):
        return units.human_duration(value)
    if isinstance(value, Path):
        return value.as_posix()
    if isinstance(value, list | tuple):
        return ",".join(map(written, value))
    return str(value)


def quoted(text: str) -> str:
    """Return ``text`` as code, or nothing for nothing."""
    return f"`{text}`" if text else ""


def paragraph(text: str) -> Iterator[str]:
    """Yield a paragraph in lines of up to 120 characters."""
    yield from (*textwrap.wrap(text, 120, break_long_words=False, break_on_hyphens=False), "")


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    """Yield a Markdown table."""
    yield from (f"| {' | '.join(head)} |", f"|{'---|' * len(head)}")
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"
    yield ""


if __name__ == "__main__":
    os.environ["DJANGO_SETTINGS_MODULE"] = "opsproject.settings"
    import django

    django.setup()
    sys.exit(main())
