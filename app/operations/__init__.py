"""What commands do on a cluster, as library functions that print nothing."""
