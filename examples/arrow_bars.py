"""Print exported bars with pyarrow.

Run: app export bars && python examples/arrow_bars.py bars

pandas (`pandas.read_parquet`), polars (`polars.scan_parquet`) and DuckDB (`read_parquet`) read the same directory, with Hive
partitioning.
"""

import sys

from pyarrow import dataset


def main(directory: str) -> None:
    found = dataset.dataset(directory, format="parquet", partitioning="hive", exclude_invalid_files=True)
    table = found.to_table(columns=["broker", "symbol", "bucket_start", "close", "ticks", "partition", "offset"])
    newest = {}  # the row with the largest offset, where a topic holds a bar twice
    for row in table.sort_by([("partition", "ascending"), ("offset", "ascending")]).to_pylist():
        newest[row["broker"], row["symbol"], row["bucket_start"]] = row
    for row in newest.values():
        print(row["broker"], row["symbol"], int(row["bucket_start"].timestamp() * 1_000), row["close"], row["ticks"])


if __name__ == "__main__":
    main(sys.argv[1])
