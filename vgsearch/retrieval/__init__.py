"""Scoring: images become descriptors, descriptors find neighbours, neighbours make recalls with intervals."""
