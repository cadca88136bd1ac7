"""SQL in, rows and files out: one file per engine, which knows nothing of segments."""
