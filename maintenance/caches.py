"""Caches: clearing them without eating the queue."""
