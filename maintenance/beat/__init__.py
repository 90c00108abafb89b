"""Starting beat, and later its scheduler."""
