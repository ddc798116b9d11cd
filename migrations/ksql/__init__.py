"""KSQL itself: declared, rendered, read and compared; pure, and independent of the rest of the project."""
