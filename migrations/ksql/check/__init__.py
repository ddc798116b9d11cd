"""Checks of declared sources and queries before anything is sent."""
