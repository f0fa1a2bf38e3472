"""The search: a YAML space, an Optuna study that decides, and Ray Tune that places the trials."""
