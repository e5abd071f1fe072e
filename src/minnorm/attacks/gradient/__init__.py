"""Attacks that differentiate the model, one per file."""
