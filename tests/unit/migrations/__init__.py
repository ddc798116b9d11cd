"""Unit tests of migrations: KSQL, plans and the client, without a broker."""
