"""Crop sets with optional labels, and the file formats of keypoints and poses."""
