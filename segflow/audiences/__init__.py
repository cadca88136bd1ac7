"""Evaluated segments in; memberships with their history, user types, reach, audiences and files out."""
