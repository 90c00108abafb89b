"""Folders that nobody else may look into."""

from pathlib import Path


def make(folder: Path) -> None:
    """Create ``folder`` and the parents it lacks with mode 0700; leave existing ones alone. Raises OSError."""
    # Not parents=True: its mode is the last folder's only.
    for path in reversed([folder, *(parent for parent in folder.parents if not parent.exists())]):
        path.mkdir(mode=0o700, exist_ok=True)
