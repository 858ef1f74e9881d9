"""Adapting a regressor to a camera without labels (Algorithm 1)."""
