"""Caches: clearing them, or culling what expired, without eating the queue."""

from .clearing import CacheTableUnusable, CacheUnavailable, Culled, clear, count, cull
from .neighbours import Resident, residents
from .steps import MalformedUrl, NoKeys, Shared, Step, UnknownCache, plan
from .stores import table_names

__all__ = [
    "CacheTableUnusable",
    "CacheUnavailable",
    "Culled",
    "MalformedUrl",
    "NoKeys",
    "Resident",
    "Shared",
    "Step",
    "UnknownCache",
    "clear",
    "count",
    "cull",
    "plan",
    "residents",
    "table_names",
]
