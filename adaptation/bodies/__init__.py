"""Body models, their poses and rotations, cameras, and renderers."""
