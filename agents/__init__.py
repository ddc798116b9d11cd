"""The Faust agents and tasks that move slices of ticks through the engine."""
