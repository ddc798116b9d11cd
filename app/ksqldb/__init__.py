"""What joins the worker and `migrations`."""
