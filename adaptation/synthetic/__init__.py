"""Synthetic people, scenes and cameras whose poses are known."""
