"""What is checked of rendered rules and of the Alertmanager configuration before they are used."""
