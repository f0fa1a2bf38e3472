"""Distributed hyperparameter search and ensembling for visual geo-localization."""

__version__ = "0.1.0"
