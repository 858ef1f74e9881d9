"""Masks from elsewhere: which files there are, which frame each belongs to, and what their values mean."""
