"""Training objectives, one a file: clean training, and defenses that train on perturbed inputs."""
