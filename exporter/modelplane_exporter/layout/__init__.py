"""How states are laid out as integers, in memory, in files and for rendering."""
