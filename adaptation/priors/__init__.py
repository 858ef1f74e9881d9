"""Pose priors, which score how plausible poses are."""
