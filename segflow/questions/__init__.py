"""The published database in, answers out: they read, and never write."""
