"""Attacks that differentiate the model, one a file."""
