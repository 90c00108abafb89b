"""SQLite: one file, copied through its online backup API."""
