"""Backups: a dump, its manifest, and what is kept."""
