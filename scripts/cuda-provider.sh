#!/usr/bin/env bash
# usage: scripts/cuda-provider.sh   (after a build)
# What test/cuda needs beside gcc: ONNX Runtime's CUDA provider, which `segr1 gpu install` fetches once (250 MB) into the user's cache.
# None of CUDA's libraries: there the tests have a stand-in of their own, and no GPU.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
if ! command -v gcc > /dev/null; then
  echo "cuda-provider: not fetched, for there is no gcc to build what it would run on"
  exit 0
fi
"$root/test/cuda/standin/build.sh" "$root/.cache/standin"
SEGR1_CUDA=$root/.cache/standin${SEGR1_CUDA:+:$SEGR1_CUDA} node "$root/dist/cli.js" gpu install --libraries system
