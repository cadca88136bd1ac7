"""What segflow costs, as ratios: beside the same SQL in plain duckdb, and beside dbt.

Every part prepares its project below `benchmarks/data`, times whole processes in turn, and gives
back a `Section` of RESULTS.md. This process stays small: what it starts would inherit its peak.
"""
