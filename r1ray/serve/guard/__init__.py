"""What is neither answered nor said: rules on requests, and on answers while they are written."""
