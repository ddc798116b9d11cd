"""The version of barwheel; a module of its own, so that whoever names it need not import the application."""

__version__ = "0.1.0"
