"""A new version of the model beside the old one: who gets it, and when the figures are enough to decide."""
