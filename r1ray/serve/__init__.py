"""Serve: an OpenAI-compatible endpoint on Ray Serve."""
