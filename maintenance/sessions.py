"""Sessions: removing the expired ones in bounded steps."""
