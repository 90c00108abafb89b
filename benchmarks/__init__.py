"""One script a headline figure, always side by side with the peer in one run."""
