#!/usr/bin/env bash
# Measures whole slides in glomseg against TIAToolbox and WSInfer, all in an environment of their own (.venv-peers-slides).
# Usage: benchmarks/peers/slides.sh [--quick]
set -euo pipefail
cd "$(dirname "$0")/../.."

PYTHON=${PYTHON:-python3}
PEERS=.venv-peers-slides

if [[ ! -e $PEERS/.installed ]]; then
    echo "installing TIAToolbox and WSInfer into $PEERS (once)"
    "$PYTHON" -m venv "$PEERS"
    # Without their dependencies: they ask for torchvision, whose wheels want another torch, and for older versions of
    # what glomseg needs. slides_absent.py stands in for what is not used here.
    "$PEERS/bin/pip" install --quiet --constraint constraints.txt --editable .
    "$PEERS/bin/pip" install --quiet --no-deps tiatoolbox==2.1.3 wsinfer==0.6.1 wsinfer-zoo==0.6.3
    "$PEERS/bin/pip" install --quiet --constraint constraints.txt aiohttp click dask defusedxml fsspec h5py \
        huggingface_hub joblib numcodecs pandas pyyaml requests scikit-image scikit-learn tqdm universal_pathlib zarr
    touch "$PEERS/.installed"
fi
exec "$PEERS/bin/python" benchmarks/peers/slides_compare.py "$@"
