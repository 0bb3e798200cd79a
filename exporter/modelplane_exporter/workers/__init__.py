"""Several worker processes with one exposition, through files in a directory."""
