"""What the `r1ray` command can do, one file a verb; `r1ray.cli` imports only the one that is asked for."""
