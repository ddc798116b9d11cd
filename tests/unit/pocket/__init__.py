"""Parts of the pocket broker on their own."""
