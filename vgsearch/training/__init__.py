"""One trial: the training loop, domain adaptation, exact resume. Knows neither Ray nor MLflow."""
