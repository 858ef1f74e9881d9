"""Crop sets with their labels, and readers of files of keypoints and poses."""
