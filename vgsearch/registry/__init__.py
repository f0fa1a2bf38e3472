"""Runs, checkpoints, versions and aliases: one interface, over MLflow and in memory."""
