"""Parts of the pocket broker without its sockets."""
