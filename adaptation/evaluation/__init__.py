"""Evaluation of predicted bodies: metrics, and the scores of a regressor."""
