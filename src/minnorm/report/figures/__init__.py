"""Figures on Matplotlib axes, and as files."""
