"""Uploaded files: a storage, or a folder, as a tar stream."""
