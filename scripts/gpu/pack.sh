#!/usr/bin/env bash
# usage: scripts/gpu/pack.sh [--arch 90] [--part 44] [--all-kernels] [--golden DIR] [--out .kit]     (after a build, on Linux x64)
#        scripts/gpu/pack.sh --tree DIR [--part 44] [--out .kit]
#
# Packs what a CUDA machine without a network lacks into parts for a transfer: Node, this build with its packages, the embedded policy, goldens,
# ONNX Runtime's CUDA provider. CUDA's own libraries are none of it: they are found there. See README.md beside this file.
#
#   --arch 80,90     compute capabilities whose machine code is kept, without their point; each takes some 20 MB
#   --part 44        MiB of a part
#   --all-kernels    keeps kernels too that segr1 never launches, 50 MB; needs no zstandard
#   --golden DIR     goldens to compare with; test/golden/fixtures by default
#   --out DIR        where the parts go; what was there is replaced
#   --tree DIR       packs this folder, with files.sha256 that is written into it
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
arch=90 part=44 kernels='' golden=$root/test/golden/fixtures out=.kit tree=''
while [ $# -gt 0 ]; do
  case $1 in
    --arch) arch=$2; shift 2 ;;
    --part) part=$2; shift 2 ;;
    --all-kernels) kernels=--all-kernels; shift ;;
    --golden) golden=$(cd "$2" && pwd); shift 2 ;;
    --out) out=$2; shift 2 ;;
    --tree) tree=$(cd "$2" && pwd); shift 2 ;;
    *) echo "pack  $1: expected an option that is described in $0" >&2; exit 2 ;;
  esac
done
case $part in '' | *[!0-9]*) echo "pack  --part: expected a whole number of MiB; got $part" >&2; exit 2 ;; esac
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Packages that run, without what only other platforms and people read.
packages() {
  local to=$1
  (cd "$root" && npm ls --omit=dev --all --parseable | tail -n +2 | sed "s|^$root/||" | sort) > "$work/packages"
  tar -C "$root" -T "$work/packages" -c | tar -C "$to" -x
  local ort=$to/node_modules/onnxruntime-node
  rm -rf "$ort"/bin/napi-v6/{darwin,win32,linux/arm64} "$ort"/bin/napi-v6/linux/x64/libonnxruntime_providers_* "$ort"/script
  find "$to/node_modules" -path '*musl*' -prune -exec rm -rf {} +
  rm -rf "$to"/node_modules/rxjs/{src,dist/{bundles,esm,esm5,types}} "$to"/node_modules/zod/src "$to"/node_modules/koffi/{doc,vendor}
  find "$to/node_modules" -type f \( -name '*.map' -o -name '*.ts' -o -name '*.cts' -o -name '*.mts' -o -name '*.md' -o -name '*.markdown' -o -name '*.patch' \) -delete
}

# The provider that `segr1 gpu install` fetched, or that scripts/cuda-provider.sh fetches now.
provider() {
  local find="import('$root/dist/gpu/find.js').then(({ surveyCuda }) => console.log(surveyCuda().provider?.folder ?? ''))"
  local from
  from=$(node -e "$find")
  if [ -z "$from" ]; then
    "$root/scripts/cuda-provider.sh" >&2
    from=$(node -e "$find")
  fi
  echo "${from:?pack  provider: expected the CUDA provider; got none; way out: segr1 gpu install}"
}

prune() {
  if [ -z "$kernels" ] && ! python3 -c 'import zstandard' 2> /dev/null; then
    python3 -m pip install -q --disable-pip-version-check --root-user-action ignore --target "$work/python" zstandard
    export PYTHONPATH=$work/python
  fi
  python3 "$root/scripts/gpu/prune.py" "$1" "$2" --arch "$arch" $kernels
}

collect() {
  local kit=$1 app=$1/app
  mkdir -p "$kit"/{bin,cuda} "$app"/data/models "$app"/test/fixtures "$app"/test/golden/fixtures "$app"/scripts "$app"/bench
  cp "$(node -p process.execPath)" "$kit/bin/node"
  strip "$kit/bin/node"
  local from
  from=$(provider)
  prune "$from/libonnxruntime_providers_cuda.so" "$kit/cuda/libonnxruntime_providers_cuda.so"
  cp -L "$from/libonnxruntime_providers_shared.so" "$kit/cuda/"
  packages "$app"
  cp -r "$root"/{package.json,pipelines.yaml,dist} "$app/"
  find "$app/dist" -type f \( -name '*.map' -o -name '*.d.ts' \) -delete
  cp -r "$root/data/models/tiny" "$app/data/models/"
  cp -r "$root/scripts/gpu" "$app/scripts/"
  cp "$root/bench/made.mjs" "$app/bench/"
  cp -r "$root/test/fixtures/"{bfloat16.json,qwen2.5-vl-3b} "$app/test/fixtures/"
  (cd "$golden" && tar -c --exclude=probes.safetensors policy/tiny-qwen2_5_vl{,-tied-bf16} policy/{forward,generate,losses,train} segmenter) | tar -C "$app/test/golden/fixtures" -x
}

pack() {
  local from=$1
  (cd "$from" && find . -type f ! -name files.sha256 -print0 | LC_ALL=C sort -z | xargs -0 sha256sum > "$work/files.sha256" && cp "$work/files.sha256" files.sha256)
  rm -rf "$out"
  mkdir -p "$out"
  # One after the other what is alike: the same code then lies within the compressor's reach. The filter is for x86's own code.
  (cd "$from/.." && tar --owner=0 --group=0 --mtime=@0 --sort=name -c "$(basename "$from")") | xz -T1 --x86 --lzma2=preset=9 -c | split -b "${part}M" - "$out/kit."
  (cd "$out" && sha256sum kit.* > parts.sha256)
  cp "$root/scripts/gpu/unpack.sh" "$out/"
}

# What was packed, and of what: for whoever finds it later.
describe() {
  node -e '
    const [, out, root, tree, arch] = process.argv;
    const { readFileSync, statSync, existsSync } = require("node:fs");
    const { execFileSync } = require("node:child_process");
    const lines = (file) => readFileSync(file, "utf8").trim().split("\n").map((line) => line.split(/ [ *]/));
    const version = (name) => JSON.parse(readFileSync(`${root}/${name}package.json`, "utf8")).version;
    const commit = () => { try { return execFileSync("git", ["-C", root, "rev-parse", "HEAD"], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim(); } catch { return null; } };
    const files = lines(`${tree}/files.sha256`).map(([sha256, path]) => ({ path: path.replace(/^\.\//, ""), bytes: statSync(`${tree}/${path}`).size, sha256 }));
    const parts = lines(`${out}/parts.sha256`).map(([sha256, name]) => ({ name, bytes: statSync(`${out}/${name}`).size, sha256 }));
    const provider = existsSync(`${tree}/cuda`) ? { architectures: arch.split(",").map(Number), onnxruntime: version("node_modules/onnxruntime-node/") } : null;
    console.log(JSON.stringify({ segr1: version(""), commit: commit(), node: process.version, provider, parts, files }, null, 1));
  ' "$out" "$root" "$1" "$arch" > "$out/manifest.json"
}

if [ -z "$tree" ]; then
  tree=$work/kit
  mkdir "$tree"
  collect "$tree"
  "$tree/bin/node" "$tree/app/dist/cli.js" stages > /dev/null
fi
pack "$tree"
describe "$tree"
{ du -sm "$tree"/* "$tree"/app/* 2> /dev/null || true; } | sort -rn | head -12 | sed "s|$tree/||" >&2
ls -l "$out"
