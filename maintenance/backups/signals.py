"""What others may listen to. They are sent with ``send_robust``: a receiver that fails is logged, the backup goes on.

The sender is always the class Manifest. ``destination`` is a Destination; ``id`` is a backup's.
"""

from typing import Final

from django.dispatch import Signal

backup_started: Final = Signal()
"""``alias``, ``id``: a backup begins; the lock is held."""

backup_finished: Final = Signal()
"""``manifest``, ``destinations``: a backup was stored in each destination."""

backup_failed: Final = Signal()
"""``alias``, ``id``, ``error``: a backup that had begun was given up."""

backup_verified: Final = Signal()
"""``manifest``, ``destination``, ``verified``: a verification came to its end, whatever it found."""

backup_pruned: Final = Signal()
"""``destination``, ``manifest``: retention removed a backup."""

restore_finished: Final = Signal()
"""``manifest``, ``destination``, ``alias``, ``into``: a backup was restored."""
