"""What can be seen from outside: metrics, traces and a log of requests."""
