"""Utilities that all other packages use: errors, files, drawing, progress bars, devices, processes."""
