"""All that a process has measured, and where one model version reports to."""
