"""Small classifiers of text that the project trains itself: noise, and domains."""
