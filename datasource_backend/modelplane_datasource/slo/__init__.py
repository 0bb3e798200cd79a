"""Service level objectives: burn rates and error budgets."""
