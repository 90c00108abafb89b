"""Old files below declared folders: finding and removing them without ever leaving the folder."""

import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from .conf import Root
from .errors import CannotWrite, ConfigurationError

# Windows has neither: there a folder is opened by its path, once it was seen to be no link.
_BY_DESCRIPTOR: Final = os.scandir in os.supports_fd and os.unlink in os.supports_dir_fd
_DEEPEST: Final = 200
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FOLDER_ONLY: Final = getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0) | os.O_RDONLY


class UnknownRoot(ConfigurationError):
    """MAINTENANCE["FILES"]["ROOTS"] has no {root!r}."""

    hint = "It has: {known}."


class NoAge(ConfigurationError):
    """Nothing says how old files of {root!r} may become."""

    hint = 'Pass --older-than 30d, or set MAINTENANCE["FILES"]["ROOTS"][{root!r}]["OLDER_THAN"].'


class NotAFolder(ConfigurationError):
    """The root {root!r} of files is {path!r}, which is no folder."""

    hint = 'Make it, or correct MAINTENANCE["FILES"]["ROOTS"][{root!r}].'


class FilesLeft(CannotWrite):
    """Old files or folders below {path!r} cannot be removed or read ({left} in all): {first!r}: {reason}."""

    hint = "Give this user their folders, and run it again."


@dataclass(frozen=True)
class Sweep:
    """What is to go: regular files below ``path``, older than ``before``, whose names match the glob ``pattern``.

    A pattern with a slash is meant for the path below the root. Names that begin with a dot need one that does.
    """

    root: str
    path: Path
    before: datetime
    pattern: str = "*"


@dataclass(frozen=True)
class Swept:
    """How many files went (or would), and their bytes; ``left`` could not be had, ``first`` for one."""

    root: str
    path: str
    pattern: str
    before: datetime
    files: int = 0
    bytes: int = 0
    left: int = 0
    first: str = ""
    reason: str = ""


def plan(
    *,
    roots: Mapping[str, Root],
    names: Iterable[str] | None = None,
    older_than: timedelta | None = None,
    pattern: str | None = None,
    now: datetime,
) -> tuple[Sweep, ...]:
    """Return what is to go below the roots ``names``, else below all that say how old their files may become.

    Raises UnknownRoot, NoAge.
    """
    chosen = tuple(dict.fromkeys(names or (name for name, root in roots.items() if root.older_than is not None)))
    for name in chosen:
        if name not in roots:
            known = ", ".join(map(repr, sorted(roots))) or "none"
            raise UnknownRoot(root=name, known=known)
        if older_than is None and roots[name].older_than is None:
            raise NoAge(root=name)
    return tuple(_planned(name, roots[name], older_than, pattern, now) for name in chosen)


def _planned(name: str, root: Root, older_than: timedelta | None, pattern: str | None, now: datetime) -> Sweep:
    age = root.older_than if older_than is None else older_than
    before = now - age if age < now - _EPOCH else _EPOCH
    return Sweep(name, root.path, before, root.pattern if pattern is None else pattern)


def count(sweep: Sweep) -> Swept:
    """Return how many files would go. Raises NotAFolder, CannotWrite."""
    return _sweep(sweep, lambda found: None)


def clear(sweep: Sweep) -> Swept:
    """Remove the old files, one after the other; folders and links stay. Raises NotAFolder, CannotWrite."""
    return _sweep(sweep, _remove)


def complain(done: Iterable[Swept]) -> None:
    """Raise FilesLeft for the first of the results that has files left."""
    for each in done:
        if each.left:
            raise FilesLeft(left=each.left, path=each.path, first=each.first, reason=each.reason)


@dataclass(frozen=True)
class _Found:
    """A regular file, or what cannot be looked into. ``below`` is its path below the root."""

    name: str
    folder: int | str
    below: str
    size: int = 0
    modified: float = 0.0
    trouble: OSError | None = None


def _sweep(sweep: Sweep, do: Callable[[_Found], None]) -> Swept:
    done = Swept(sweep.root, str(sweep.path), sweep.pattern, sweep.before)
    before = sweep.before.timestamp()
    for found in _walk(_root(sweep), ""):
        if not found.trouble and not (found.modified < before and _matches(found.below, sweep.pattern)):
            continue
        try:
            if found.trouble:
                raise found.trouble
            do(found)
        except FileNotFoundError:
            continue  # somebody was quicker
        except OSError as error:
            first, reason = (done.first, done.reason) if done.left else (found.below, error.strerror or str(error))
            done = replace(done, left=done.left + 1, first=first, reason=reason)
        else:
            done = replace(done, files=done.files + 1, bytes=done.bytes + found.size)
    return done


def _remove(found: _Found) -> None:
    if isinstance(found.folder, int):
        os.unlink(found.name, dir_fd=found.folder)
    else:
        Path(found.folder, found.name).unlink()


def _root(sweep: Sweep) -> int | str:
    try:
        return _open(str(sweep.path.resolve(strict=True)), None)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotAFolder(root=sweep.root, path=str(sweep.path)) from error
    except OSError as error:
        raise CannotWrite(path=str(sweep.path), reason=error.strerror or str(error)) from error


def _walk(folder: int | str, below: str) -> Iterator[_Found]:
    """Yield the regular files of an opened folder, which is closed, and of those in it; links are never followed."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                path = f"{below}{entry.name}"
                try:
                    facts = entry.stat(follow_symlinks=False)
                    if stat.S_ISREG(facts.st_mode):
                        yield _Found(entry.name, folder, path, facts.st_size, facts.st_mtime)
                    elif stat.S_ISDIR(facts.st_mode):
                        if path.count("/") == _DEEPEST:
                            raise OSError(errno.ENAMETOOLONG, "nested too deeply")
                        yield from _walk(_open(entry.name, folder), f"{path}/")
                except OSError as error:
                    # Gone, or a link by now: none of ours.
                    if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                        yield _Found(entry.name, folder, path, trouble=error)
    finally:
        if isinstance(folder, int):
            os.close(folder)


def _open(name: str, parent: int | str | None) -> int | str:
    if _BY_DESCRIPTOR:
        # By descriptors a folder that somebody swaps for a link meanwhile leads nowhere.
        return os.open(name, _FOLDER_ONLY, dir_fd=parent if isinstance(parent, int) else None)
    path = Path(str(parent or ""), name)
    if path.is_symlink() or not path.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, "it is no folder", str(path))
    return str(path)


def _matches(below: str, pattern: str) -> bool:
    name = below if "/" in pattern else below.rpartition("/")[2]
    hidden = any(part.startswith(".") for part in below.split("/"))
    return fnmatchcase(name, pattern) and (not hidden or any(part.startswith(".") for part in pattern.split("/")))
