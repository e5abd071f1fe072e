"""What is known of runs as numbers and pictures: curves, distances, classes, galleries."""
