#!/usr/bin/env bash
# usage: scripts/check-shards.sh [ROWS_FOLDER [option of check_shards.py ...]]
# Opens a run's rows with pyarrow, datasets, polars and pycocotools; without a folder, rows drawn for the purpose (after a build),
# whose column of their own pandas, polars and DuckDB read as well.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
checker=${SEGR1_GOLDEN:-$root/../shared/golden}/arrow/check_shards.py

readers="pyarrow==26.0.1 datasets==5.2.0 polars==2.1.0 duckdb==2.0.0 pycocotools==2.0.11 numpy==2.3.4 pandas Pillow"
venv=$root/.cache/venv
if [ "$(cat "$venv/readers.txt" 2>/dev/null)" != "$readers" ]; then
  python3 -m venv "$venv"
  # shellcheck disable=SC2086
  "$venv/bin/pip" install --quiet --disable-pip-version-check $readers
  echo "$readers" > "$venv/readers.txt"
fi
export HF_HUB_OFFLINE=1

check() {
  if [ -f "$checker" ]; then
    "$venv/bin/python" "$checker" "$@"
  else
    echo "check-shards: skipped, for check_shards.py is not at $checker; SEGR1_GOLDEN names its folder"
  fi
}

if [ $# -gt 0 ]; then
  check "$@"
  exit
fi
drawn=$(mktemp -d)
trap 'rm -rf "$drawn"' EXIT
node "$root/scripts/drawn-shards.mjs" "$drawn/rows" 120
"$venv/bin/python" "$root/scripts/check_own_columns.py" "$drawn/rows"
check "$drawn/rows" --rows 120
