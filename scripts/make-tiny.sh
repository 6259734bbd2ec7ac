#!/usr/bin/env bash
# Makes data/models/tiny again, from nothing: about 11 minutes on 2 cores. Run `npm run build` first.
set -euo pipefail
cd "$(dirname "$0")/.."
rm -rf runs/tiny
node scripts/start-tiny.mjs runs/tiny/start
node dist/cli.js pipeline look --pipelines scripts/make-tiny.yaml --run runs/tiny/look
node dist/cli.js pipeline choose --pipelines scripts/make-tiny.yaml --run runs/tiny/choose
rm -rf data/models/tiny
cp -r runs/tiny/choose/checkpoints/step-400 data/models/tiny
