"""Attacks that read the predicted classes of the model only, one per file."""
