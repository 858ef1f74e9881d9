"""What cameras deliver: videos, folders of images, given masks, and background subtraction."""
