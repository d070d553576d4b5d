"""Duplicates: exact by normalised text, near by MinHash and the true Jaccard similarity."""
