"""Compressed models, each examined beside its parent before it is called good."""
