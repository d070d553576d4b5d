"""Shards of token ids: written from corpus rows, read through three tiers, in an order that can be resumed."""
