"""Host projects for live tests: opsproject's settings, changed where a test needs it."""
