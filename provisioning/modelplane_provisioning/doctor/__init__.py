"""What ``modelplane doctor`` looks at, and what it makes of that."""
