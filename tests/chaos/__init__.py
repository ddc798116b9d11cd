"""The crash test: real workers and a real broker under random faults, and a judge that accounts for every tick afterwards.

`python -m tests.chaos --help`
"""
