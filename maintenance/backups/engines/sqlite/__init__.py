"""SQLite: one file."""
