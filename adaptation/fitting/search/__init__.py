"""Search for bodies that explain a mask: silhouettes looked up in a library, and the best of them fitted."""
