"""Who calls, whose data they may see, how queries are restricted to it, and who reads which notice."""
