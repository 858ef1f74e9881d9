"""Adapt a 3D human mesh regressor, or fit a body, from silhouettes alone."""
