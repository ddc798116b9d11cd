"""What the worker answers on its web port."""
