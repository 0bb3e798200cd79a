"""Pages of the documentation that are generated, whole or in part."""
