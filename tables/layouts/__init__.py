"""How ticks that are not in the default layout are read: which field is what, and where broker and symbol come from."""
