"""The images of a plane in containers: which, by which digest, and what they are built from."""
