"""The web page: a chat with visible reasoning steps, versions of the model side by side."""

from functools import lru_cache
from importlib.resources import files


@lru_cache(maxsize=1)
def page() -> str:
    """One HTML file; it loads nothing but the service's own API."""
    return (files("r1ray.serve.web") / "index.html").read_text(encoding="utf-8")
