"""Decoding of files with frames: containers, codecs and animated images."""
