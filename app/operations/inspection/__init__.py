"""`app inspect`: what a topic of ticks looks like, and which settings fit it. Everything but `sample` is pure."""
