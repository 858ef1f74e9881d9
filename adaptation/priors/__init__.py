"""Pose priors: how plausible a pose is."""
