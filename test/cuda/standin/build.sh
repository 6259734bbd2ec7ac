#!/usr/bin/env bash
# Builds the stand-in for CUDA's libraries: build.sh FOLDER. What is newer there than its sources is left alone.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
to=$(cd "$1" && pwd)

# NAME.so.VERSION from sources, its symbols under the version that the provider was linked against.
library() {
  local name=$1 version=$2
  shift 2
  local out=$to/lib$name.so.$version
  if [ -e "$out" ] && [ -z "$(find "$here" -newer "$out" -print -quit)" ]; then return; fi
  local partial=$out.$$
  printf 'lib%s.so.%s { global: *; };\n' "$name" "$version" > "$partial.map"
  (cd "$here" && gcc -O1 -w -fPIC -shared -Wl,-soname,"lib$name.so.$version" -Wl,--version-script="$partial.map" -o "$partial" "$@")
  rm "$partial.map"
  mv "$partial" "$out"
}

library cudart 13 events.c memory.c device.c streams.c kernels.c -lpthread
# These call the runtime's counters, and find it beside them.
beside=("-L$to" '-Wl,-rpath,$ORIGIN' -l:libcudart.so.13)
library cublas 13 cublas.c "${beside[@]}"
library cublasLt 13 cublaslt.c "${beside[@]}"
library cudnn 9 cudnn.c "${beside[@]}"
library cuda 1 -DDRIVER driver.c
library curand 10 driver.c
