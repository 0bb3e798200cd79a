"""What the use of devices and tokens costs."""
