"""Synthetic domains: images of bodies whose pose is known, and the shifts between them."""
