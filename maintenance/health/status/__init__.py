"""Status: what works, waits, ran and comes, in parts that are asked side by side."""

from .part import Part
from .parts import PARTS, parts
from .report import document, lines, said

__all__ = ["PARTS", "Part", "document", "lines", "parts", "said"]
