"""Uploaded files, the way back: the tar is unpacked into a new folder, never over files that are there."""

import os
import shutil
import tarfile
import threading
from collections import Counter
from contextlib import AbstractContextManager, suppress
from pathlib import Path

from maintenance.backups import streams
from maintenance.backups.errors import MediaBeside, NameTaken
from maintenance.backups.found import Broken, Found
from maintenance.backups.job import Commit, Job

from .dump import TOP


def decode(job: Job, *, using: str) -> tuple[str, ...]:
    """Read the whole tar. ``using`` is not used. See job.Reader."""
    _unpack(job, None)
    return ()


def drill(job: Job, *, using: str) -> Found:
    """Unpack into the job's folder, and count. ``using`` is not used."""
    return _unpack(job, job.folder)


def beside(job: Job, *, name: str, using: str) -> Found:
    """Unpack into the new folder ``name``, which appears when it is whole. Raises NameTaken."""
    target = Path(name).absolute()
    if target.exists():
        raise NameTaken(name=str(target))
    part = target.with_name(f".{target.name}.{job.backup.id}")
    part.mkdir(mode=0o700, parents=True)
    try:
        found = _unpack(job, part)
        found.compare(job.backup)
        part.rename(target)
    except BaseException:
        shutil.rmtree(part)
        raise
    return found


def over(job: Job, *, alias: str) -> AbstractContextManager[Commit]:
    """Refuse: files are restored beside. Raises MediaBeside."""
    raise MediaBeside(id=job.backup.id)


def recover(*, alias: str) -> str:
    """Do nothing: nothing is restored over anything."""
    return ""


def _unpack(job: Job, folder: Path | None) -> Found:
    """Feed a tar to a thread that unpacks it (or only reads it), and return the files by top folder."""
    read, write = os.pipe()
    files: Counter[str] = Counter()
    trouble: list[Exception] = []

    def take() -> None:
        with open(read, "rb") as pipe:  # noqa: PTH123 # a descriptor
            try:
                with tarfile.open(fileobj=pipe, mode="r|") as tar:
                    for member in tar:
                        _take(tar, member, folder)
                        files[member.name.partition("/")[0] if "/" in member.name else TOP] += 1
            except (tarfile.TarError, OSError) as error:
                trouble.append(error)
            while not trouble and pipe.read(streams.CHUNK):
                pass

    thread = threading.Thread(target=take, daemon=True)
    thread.start()
    try:
        with open(write, "wb") as pipe, suppress(BrokenPipeError):  # noqa: PTH123 # a descriptor
            job.feed(pipe.write)
    finally:
        thread.join()
    for error in trouble:
        if isinstance(error, tarfile.TarError):
            raise Broken(str(error)) from error
        raise error
    return Found(dict(sorted(files.items())))


def _take(tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path | None) -> None:
    """Unpack one file. Links, devices and paths that lead out of the folder are refused: a tar of ours has none."""
    if not member.isreg():
        raise tarfile.TarError(f"{member.name!r} is no file")
    if folder is not None:
        tar.extract(member, folder, set_attrs=True, filter="data")
        return
    content = tar.extractfile(member)
    while content is not None and content.read(streams.CHUNK):
        pass
