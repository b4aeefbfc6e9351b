#!/usr/bin/env bash
# Measures glomseg against the real MMSegmentation 1.2.2, which gets an environment of its own (.venv-peers).
# Usage: benchmarks/peers/run.sh [--quick]
set -euo pipefail
cd "$(dirname "$0")/../.."

PEERS=.venv-peers

benchmarks/peers/install.sh
exec .venv/bin/python benchmarks/peers/compare.py --peer-python "$PEERS/bin/python" "$@"
