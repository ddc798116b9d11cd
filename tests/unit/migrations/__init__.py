"""KSQL, plans and the client, without a broker."""
