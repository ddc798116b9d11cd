"""Throughput beside idiomatic Faust and two floors, and the timing wheel beside its alternatives."""
