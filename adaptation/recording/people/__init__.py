"""What is known of one person over time, and which regions of a mask are one person."""
