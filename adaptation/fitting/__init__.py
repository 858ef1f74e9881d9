"""Fitting bodies to silhouettes by gradient descent."""
