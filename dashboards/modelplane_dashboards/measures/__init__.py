"""What is measured, each drawn as a stat, a graph or a column from one declaration."""
