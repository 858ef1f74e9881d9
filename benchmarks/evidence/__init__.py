"""Does adaptation from silhouettes recover pose? The paper's tables, on synthetic domains that need no download."""
