"""Repairs, quality rules and language: whether a row is worth keeping."""
