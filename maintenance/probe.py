"""python -m maintenance.probe worker|beat: whether a process lives, from its heartbeat file, in milliseconds.

Imports neither Django nor Celery, nor argparse, which would take a third of its time: it runs every few seconds.
"""

import os
import sys

from maintenance import heartbeat

ALIVE, STUCK, NO_HEARTBEAT = 0, 1, 2

USAGE = "usage: python -m maintenance.probe worker|beat [--name NAME] [--max-age SECONDS] [--ready]"
HELP = f"""{USAGE}

Tell from its heartbeat file whether a worker or beat on this host lives.

  --name NAME        only the worker of this node name: heavy, or heavy@host (default: all of this host)
  --max-age SECONDS  it is stuck when it has been silent for longer (default: {heartbeat.MAX_AGE:g})
  --ready            whether it can work too: its broker is connected

Exit status: 0 alive, 1 stuck (with --ready: or not ready), 2 no heartbeat, or wrong flags.
"""


class Asked:
    """The command line. Raises ValueError, which says what is wrong with it."""

    def __init__(self, argv: list[str]) -> None:
        self.kind, self.name, self.max_age, self.ready = "", "", heartbeat.MAX_AGE, False
        words = [word for each in argv for word in (each.split("=", 1) if each.startswith("--") else [each])]
        while words:
            word = words.pop(0)
            if word == "--ready":
                self.ready = True
            elif word in ("--name", "--max-age"):
                if not words:
                    raise ValueError(f"{word} needs a value")
                self._take(word, words.pop(0))
            elif word in (heartbeat.WORKER, heartbeat.BEAT) and not self.kind:
                self.kind = word
            else:
                raise ValueError(f"{word!r} is not known here")
        if not self.kind:
            raise ValueError("say worker or beat")

    def _take(self, flag: str, value: str) -> None:
        if flag == "--name":
            self.name = value
            return
        try:
            self.max_age = float(value)
        except ValueError:
            self.max_age = 0.0
        if not 0 < self.max_age < float("inf"):
            raise ValueError(f"--max-age {value!r} is not a number of seconds")


def main(argv: list[str], environ: "heartbeat.Environ") -> tuple[int, str]:
    """Return the exit status, and what to say."""
    if {"-h", "--help"} & set(argv):
        return ALIVE, HELP
    try:
        asked = Asked(argv)
    except ValueError as error:
        return NO_HEARTBEAT, f"{USAGE}\nprobe: {error}.\n"
    folder = heartbeat.folder(environ)
    found = [seen for seen in heartbeat.read(folder, asked.kind) if not seen.gone]
    if asked.name:
        wanted = heartbeat.file_name(asked.kind, asked.name)
        found = [seen for seen in found if seen.name == wanted or seen.name.startswith(f"{wanted}@")]
    return verdict(found, asked, folder)


def verdict(found: list[heartbeat.Seen], asked: Asked, folder: str) -> tuple[int, str]:
    """Return what the heartbeats amount to."""
    if not found:
        who = f"{asked.kind} {asked.name}" if asked.name else asked.kind
        return NO_HEARTBEAT, f"no heartbeat: no {who} runs here, or it writes to another folder than {folder}\n"
    for seen in found:
        if not seen.alive(asked.max_age):
            return STUCK, f"stuck: {seen.name} has been silent for {seen.age:.0f}s\n"
    for seen in found:
        if asked.ready and not seen.ready:
            return STUCK, f"not ready: {seen.name} is not connected to the broker\n"
    return ALIVE, f"alive: {', '.join(seen.name for seen in found)}\n"


if __name__ == "__main__":
    status, text = main(sys.argv[1:], os.environ)
    (sys.stderr if text.startswith("usage") and status else sys.stdout).write(text)
    sys.stdout.flush()
    os._exit(status)  # nothing is left to do, and tearing the interpreter down takes as long as all of this
