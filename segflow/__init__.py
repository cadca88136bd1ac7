"""Customer segmentation as code: SQL models in, segments and audiences out."""

__version__ = "0.1.0"
