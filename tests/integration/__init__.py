"""Tests of the running worker."""
