"""Run by `make wheel` in an empty venv: the wheel alone works in a project that only names the app."""
