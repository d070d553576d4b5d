"""What stands around the engine when a model is served; and, in `app.py`, the service on Ray Serve."""
