"""What knows brokers and not bars: clients, topics, batches, and the group."""
