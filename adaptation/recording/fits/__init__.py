"""Fit bodies to the people of a recording: frame by frame, or over time."""
