"""Photos of one domain as photos of another."""
