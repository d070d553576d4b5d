"""What every stage needs of Ray: a connection, pools that re-issue lost work, a plan, a metrics sink."""
