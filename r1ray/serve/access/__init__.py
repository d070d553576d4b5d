"""Who may ask, how often and how much: keys, rate limits, quotas and bounds."""
