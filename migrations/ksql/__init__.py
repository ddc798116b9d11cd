"""KSQL as typed Python and as text. Pure: no I/O, and no imports from the rest of the project.

Imports run one way, from bottom to top:

1. `errors`, `names`: what everything else uses.
2. The model: `types`, `expressions`, `headers`, `cases`, `functions`, `queries`, `formats`, `declaration`.
3. `parse`: text into tokens and statements, their normal form and hash. It does not need the model.
4. `check`: the checks of declarations and queries.
5. `render`: declarations and queries as text.
6. `sources`: `Stream`, `Table`, `Type` and `Insert`, which check themselves when they are declared and render themselves by
   `str`.
"""
