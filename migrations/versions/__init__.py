"""The plan of the running application. Its files are applied in the order of their numbers."""
