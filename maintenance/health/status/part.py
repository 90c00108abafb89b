"""What every part of the status is: asked as a check is, and silent when its service is."""

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

from ..base import Check, Figure
from ..runner import FAILED

Rows = list[dict[str, Any]]


@dataclass(repr=False)
class Part(Check):
    """A part of the status: asked as a check is, it keeps what it read."""

    read: Rows | None = field(default=None, compare=False, kw_only=True)
    hanging: ClassVar[str] = FAILED

    def ask(self) -> Iterator[str | Figure]:
        self.read = self.rows()
        yield "asked"

    @abstractmethod
    def rows(self) -> Rows:
        """Return what is to be shown, as JSON has it. Raises CouldNotAsk, MaintenanceError."""
