"""A `Project` in, a `Graph` out: Jinja rendered, SQL parsed and checked, nothing run.

What a template wants to know of the database it asks of a `Catalog`, and only just before it runs.
"""
