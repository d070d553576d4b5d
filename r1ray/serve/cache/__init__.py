"""Answers that need not be computed again: exact keys, two levels, and one computation for equal requests in flight.

Level 1 is the replica's memory, level 3 the shared store; level 2, the engine's keys and values of common prefixes, is
the engine's own.
"""
