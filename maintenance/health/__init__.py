"""Health: whether background work is fine, and what to do if not."""
