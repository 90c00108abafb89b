"""Bounded deletes: many short transactions instead of a long one."""
