"""Re-ranking what a search found, by looking at query and candidate together."""
