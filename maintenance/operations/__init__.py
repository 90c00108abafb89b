"""The ops page in the admin: what it shows, how it is drawn, and what can be done from it."""
