"""Which backups go: pure decisions on manifests."""

from collections import defaultdict
from collections.abc import Iterable

from .manifest import Manifest


def surplus(manifests: Iterable[Manifest], *, keep_last: int | None, coming: int = 0) -> tuple[Manifest, ...]:
    """Return what exceeds the newest ``keep_last`` backups of each database, oldest first; None keeps all.

    ``coming`` newer backups of each are about to be made. Raises ValueError when ``keep_last`` is below 1.
    """
    if keep_last is None:
        return ()
    if keep_last < 1:
        raise ValueError("at least one backup is kept")

    def excess(those: list[Manifest]) -> int:
        return max(0, len(those) + coming - keep_last)

    by_alias: defaultdict[str, list[Manifest]] = defaultdict(list)
    for manifest in sorted(manifests, key=_age):
        by_alias[manifest.alias].append(manifest)
    return tuple(sorted((old for those in by_alias.values() for old in those[: excess(those)]), key=_age))


def _age(manifest: Manifest) -> tuple[object, str]:
    return manifest.started, manifest.id
