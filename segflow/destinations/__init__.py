"""Rows in, a tool's answer out: one file per tool, which knows nothing of segments."""
