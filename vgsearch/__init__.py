"""Distributed hyperparameter search for visual geo-localization."""

__version__ = "0.1.0"
