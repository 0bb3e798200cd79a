"""The command line, the bundle and the local stack."""
