"""The demo: a broker, a synthetic market, a worker, and what is seen of them."""
