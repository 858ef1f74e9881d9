"""Calibrations of cameras, as other programs write them."""
