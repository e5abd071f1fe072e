"""What the code of an attack does: read from its functions, classes and values."""
