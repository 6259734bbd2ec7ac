"""usage: check_own_columns.py ROWS_FOLDER

Reads the column `difficulty` of a folder of rows with pandas, polars and DuckDB, and compares each with pyarrow.
"""

import json
import math
import sys
from pathlib import Path

import duckdb
import pandas
import polars
import pyarrow as pa

folder = Path(sys.argv[1])
files = sorted(folder.glob("data-*.arrow"))
rows = pa.concat_tables([pa.ipc.open_stream(pa.memory_map(str(file))).read_all() for file in files])
field = rows.schema.field("difficulty")
said = json.loads(field.metadata[b"segr1"])
wanted = rows["difficulty"].to_pylist()
assert field.type == pa.float64(), field.type
assert said["kind"] == "float" and said["doc"], said
assert None in wanted and any(value is not None for value in wanted), wanted


def same(name, got):
    """Values in order; a missing one is None, or NaN where a reader has no other word for it."""
    got = [None if value is None or (isinstance(value, float) and math.isnan(value)) else value for value in got]
    assert got == wanted, f"{name}: expected {wanted}; got {got}"
    print(f"ok   {name} reads {len(got)} values of difficulty")


frame = rows.to_pandas()
assert isinstance(frame, pandas.DataFrame) and str(frame["difficulty"].dtype) == "float64"
same("pandas", frame["difficulty"].tolist())
same("polars", polars.concat([polars.read_ipc_stream(str(file)) for file in files])["difficulty"].to_list())
same("DuckDB", [value for (value,) in duckdb.sql("select difficulty from rows").fetchall()])
