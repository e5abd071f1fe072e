"""What happens before the first attack: arguments, checks, and decisions by measurement."""
