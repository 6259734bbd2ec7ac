#!/usr/bin/env bash
# usage: unpack.sh TO PART…     such as unpack.sh /tmp/kit kit.aa kit.ab; in one folder parts.sha256 beside them is enough: unpack.sh /tmp/kit
#
# Unpacks what pack.sh packed, in the order of its parts, and checks every file. TO is made; without xz Python unpacks.
set -euo pipefail
to=${1:?unpack  TO: expected a folder to unpack into; got none}
shift
here=$(cd "$(dirname "$0")" && pwd)
if [ $# -eq 0 ]; then
  (cd "$here" && sha256sum --quiet -c parts.sha256)
  set -- "$here"/kit.*
fi
plain() {
  if command -v xz > /dev/null; then xz -d -c; else python3 -c 'import lzma, shutil, sys; shutil.copyfileobj(lzma.open(sys.stdin.buffer), sys.stdout.buffer, 1 << 20)'; fi
}
mkdir -p "$to"
cat "$@" | plain | tar -C "$to" --strip-components=1 -x
cd "$to"
sha256sum --quiet -c files.sha256
# ONNX Runtime looks for its provider beside itself; a link would be taken for the library that is loaded already.
own=app/node_modules/onnxruntime-node/bin/napi-v6/linux/x64/libonnxruntime.so.1
if [ -e "$own" ]; then cp "$own" cuda/; fi
echo "unpacked into $to"
