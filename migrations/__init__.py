"""KSQL as typed Python and as text: planned, applied once, resumed, never destructive."""
