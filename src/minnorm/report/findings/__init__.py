"""What makes results doubtful, what it means, and what to do."""
