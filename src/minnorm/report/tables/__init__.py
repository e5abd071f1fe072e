"""Tables of results: one table of numbers, in the forms in which it is written."""
