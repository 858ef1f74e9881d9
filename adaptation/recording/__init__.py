"""From a recording of a static camera to people, crops, fitted bodies and result files."""
