"""Training objectives, one per file: clean training, and defenses with perturbed inputs."""
