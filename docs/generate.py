"""Writes docs/commands.md and docs/settings.md from the code; with --check, fails when they are stale."""
