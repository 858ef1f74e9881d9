"""What every other room uses: errors, files, drawing, progress bars, devices, processes."""
