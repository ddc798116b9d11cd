"""Plans to be given by name: `app migrate --plan`."""
