"""Soups and descriptor ensembles: what recorded checkpoints become together, chosen on val."""
