"""What every request passes, from outside to the handler."""
