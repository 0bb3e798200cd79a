"""What begins a registry: a first file, and a proposal from what is scraped."""
