"""How far signals are from what they are compared with."""
