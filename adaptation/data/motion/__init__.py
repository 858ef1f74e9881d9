"""Motion capture: readers of its formats, and retargeting to the project's body."""
