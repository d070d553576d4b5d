"""A corpus in the making: units of work, rows, deduplication through files, shards. Nothing here knows Ray.

read ─► exact ─► buckets ─► graph ─► suspects ─► verify ─► split ─► shards ─► publish

Every arrow is a folder of pieces, each whole or absent; what passes between units (a shuffle) passes through them.
"""
