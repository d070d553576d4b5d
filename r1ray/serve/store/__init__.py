"""What the replicas of a service share: short values, counters and token buckets, in one process or in Redis."""
