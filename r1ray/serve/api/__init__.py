"""The OpenAI-compatible API: what requests look like, what they mean to the engine, and what answers look like."""
