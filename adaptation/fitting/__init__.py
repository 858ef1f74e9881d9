"""Fits of bodies to silhouettes by gradient descent."""
