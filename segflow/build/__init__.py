"""A `Graph` and a selection in, a `Plan` out; a `Plan` in, tables and `Result`s out."""
