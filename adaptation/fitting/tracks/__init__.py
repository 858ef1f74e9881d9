"""Joint fits of the bodies of one person over time."""
