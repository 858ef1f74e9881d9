"""Detectors that other people trained: keypoints, 3D landmarks and masks of people, read from their packages."""
