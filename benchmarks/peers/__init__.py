"""Other programs that make bars of the same ticks, measured beside barwheel and judged by one reference."""
