"""ksqlDB and Schema Registry over HTTP."""
