"""The plans that are shipped: `finals`, for the plan in `versions/`, and `bar1m`, for `app migrate --plan bar1m`."""
