"""The plan of the running application, applied in order."""
