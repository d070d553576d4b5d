"""r1ray: from a raw corpus to a served reasoning model, on Ray's own libraries."""

__version__ = "0.1.0"
