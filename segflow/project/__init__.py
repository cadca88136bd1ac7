"""Files in, `Project` out: YAML, SQL and CSV read, typed and located, nothing rendered or run."""
