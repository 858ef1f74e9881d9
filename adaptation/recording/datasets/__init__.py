"""Crop the people of data sets, and collect what the sets know of them."""
