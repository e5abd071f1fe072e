"""Attacks that read the logits of the model and no gradients, one per file."""
