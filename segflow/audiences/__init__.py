"""Evaluated segments in; memberships with history, user types, reach, audiences and files out."""
