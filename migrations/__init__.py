"""Migrations of a ksqlDB server: plans of KSQL statements, applied once and recorded.

Imports run one way: `run` uses `plan`, `plan` uses `server`, and `server` uses `ksql`. `versions` and `shipped` are the plans
that come with the project; they use only `ksql`. Of the application, only `app.kafka`, `app.errors` and `app.version` are used.
"""
