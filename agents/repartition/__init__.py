"""The second agent of a worker, with `repartition=on`: it copies the ticks of the sources to a topic of the app, by symbol."""
