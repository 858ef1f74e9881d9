"""Losses on silhouettes, keypoints and known bodies."""
