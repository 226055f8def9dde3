"""Bytes to pixels and arrays, and back: image files, .npy, zip archives and forms."""
