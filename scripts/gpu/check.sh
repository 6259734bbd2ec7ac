#!/usr/bin/env bash
# usage: scripts/gpu/check.sh [STEP…]      on a machine with a CUDA device: in an unpacked kit, or in a checkout after a build and `segr1 gpu install`
#
# Checks this build on the device, and measures it: short lines on the terminal; in the folder OUT results.jsonl, errors.txt and log.txt.
# A step that fails or takes too long ends itself alone. All together end within ten minutes. See README.md beside this file.
#
#   doctor    what the machine has, and how fast products of matrices are
#   golden    values of every golden suite in float32 and bfloat16, beside what is stored and the CPU's
#   train     ten steps of the embedded default on the CPU and on the device
#   shape3b   rollout, update and step of a policy of 3B's shape with an adapter, in bfloat16
#   peer      the same by transformers and PEFT, where python3 has them
#   options   TF32, determinism, two models side by side
#   fit       an update and a rollout as shape3b's in the memory of a 24 GB card; only where it is named
#   full3b    all weights of 3B's shape, AdamW on the host; needs 48 GB there and 64 GB here; only where it is named
#
# OUT=DIR       where results go; ./gpu-check by default
# DEVICE=cuda   cuda, or cuda:N
# TOTAL=580     seconds that all steps may take
# FAKE=DIR      rehearses on test/cuda/standin, built into this folder: numbers are nonsense, errors are not
# SHAPE, PEER   further options of shape3b.mjs and peer.py
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
kit=$(cd "$root/.." && pwd)
mkdir -p "${OUT:=gpu-check}"
OUT=$(cd "$OUT" && pwd)
export OUT RESULTS=$OUT/results.jsonl DEVICE=${DEVICE:-cuda}
errors=$OUT/errors.txt
cuda=${SEGR1_CUDA:-}
if [ -x "$kit/bin/node" ]; then PATH=$kit/bin:$PATH; fi
if [ -d "$kit/cuda" ]; then cuda=$kit/cuda${cuda:+:$cuda}; fi
# What a rehearsal has other: little work, and no weights, for a stand-in computes nothing.
SMALL='' WORK='' REHEARSE=''
if [ -n "${FAKE:-}" ]; then
  cuda=$FAKE${cuda:+:$cuda}
  SMALL='--hollow --repeats 1' WORK='--prompts 2 --batch 2 --group 2 --tokens 4' REHEARSE=--rehearse
  # Loops go on to their last turn.
  export STANDIN_LOOPS=1
fi
if [ -n "$cuda" ]; then export SEGR1_CUDA=$cuda; fi
export PYTHONUNBUFFERED=1
weights=$({ [ "$(df -Pk /dev/shm 2> /dev/null | awk 'NR == 2 { print $4 }')" -gt 9000000 ] && echo /dev/shm; } 2> /dev/null || echo "${TMPDIR:-/tmp}")/segr1-3b

doctor() {
  node "$root/dist/cli.js" doctor --json > "$OUT/doctor.json"
  node -e '
    const { devices, cpu, memory, missing, advice } = JSON.parse(require("node:fs").readFileSync(process.argv[1], "utf8"));
    require("node:fs").appendFileSync(process.env.RESULTS, `${JSON.stringify({ step: "doctor", devices, cpu, memory, missing, advice })}\n`);
    console.log(`${cpu.model}, ${cpu.cores} cores, ${(memory.total / 1e9).toFixed(0)} GB, node ${process.version}`);
    for (const { device, name, driver, memory: bytes, works, speed, errors } of devices) {
      const rates = Object.entries(speed).map(([precision, rate]) => `${precision} ${Number((rate / 1000).toPrecision(3))} TFLOP/s`);
      console.log([`${device} ${works ? "works" : "FAILS"}`, name, ...(bytes ? [`${(bytes / 1e9).toFixed(1)} GB`] : []), ...(driver ? [`driver ${driver}`] : []), ...rates, ...errors].join(", "));
    }
    for (const { message } of missing) console.log(message);
  ' "$OUT/doctor.json"
}

# Side by side, for most of it is tracing graphs and opening them: one core each.
golden() {
  local pids=() suites status=0
  for suites in forward,losses generate train segmenter; do
    node "$here/golden.mjs" --device "$DEVICE" --only "$suites" --memory 4GB &
    pids+=($!)
  done
  for pid in "${pids[@]}"; do wait "$pid" || status=1; done
  return $status
}

train() { node "$here/train.mjs" --device "$DEVICE" --steps "${STEPS:-10}" --memory 8GB; }

shape() {
  # Large weights are counted there, and not copied.
  if [ -n "${FAKE:-}" ]; then export STANDIN_BYTES=1e6; fi
  node "$here/shape3b.mjs" --device "$DEVICE" --folder "$weights" $SMALL $WORK "$@"
}
shape3b() { KEEP=1 shape ${SHAPE:-}; }
fit() { shape --step fit --memory 21GB ${SHAPE:-}; }
full3b() { shape --step full3b --rank 0 --optimizer host ${SHAPE:-}; }

peer() { python3 "$here/peer.py" --folder "$weights" --results "$RESULTS" $REHEARSE ${PEER:-}; }

options() { node "$here/options.mjs" --device "$DEVICE" $SMALL; }

# Seconds that a step may take.
limit() {
  case $1 in
    doctor) echo 60 ;;
    golden) echo 150 ;;
    train) echo 80 ;;
    shape3b) echo 180 ;;
    peer) echo 130 ;;
    options) echo 80 ;;
    *) echo 600 ;;
  esac
}

export -f doctor golden train shape shape3b fit full3b peer options
export here root weights SMALL WORK REHEARSE
total=${TOTAL:-580}
failed=()
SECONDS=0
step() {
  local name=$1 start=$SECONDS most
  most=$(limit "$name")
  if [ -n "${FAKE:-}" ]; then most=1200; fi
  if [ $((total - SECONDS)) -lt "$most" ]; then most=$((total - SECONDS)); fi
  if [ "$most" -lt 10 ]; then
    echo "== $name is left out: $total s are used up"
    failed+=("$name")
    return
  fi
  echo "== $name, at most $most s"
  echo "== $name" >> "$errors"
  if timeout --kill-after=5 "$most" bash -c '"$1"' step "$name" 2>> "$errors"; then
    echo "== $name took $((SECONDS - start)) s"
  else
    echo "== $name FAILED with $? after $((SECONDS - start)) s; see errors.txt"
    failed+=("$name")
  fi
}

main() {
  : > "$errors"
  : > "$RESULTS"
  if [ $# -eq 0 ]; then set -- doctor golden train shape3b peer options; fi
  for name in "$@"; do
    case $name in
      doctor | golden | train | shape3b | peer | options | fit | full3b) step "$name" ;;
      *) echo "check  STEP: expected one that is described in $0; got $name" >&2; return 2 ;;
    esac
  done
  rm -rf "$weights"
  echo "== $SECONDS s in all${failed:+, failed: ${failed[*]}}"
  [ ${#failed[@]} -eq 0 ]
}
main "$@" 2>&1 | tee "$OUT/log.txt"
