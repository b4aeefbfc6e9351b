#!/usr/bin/env bash
# Installs the real MMSegmentation 1.2.2 into an environment of its own (.venv-peers), once.
set -euo pipefail
cd "$(dirname "$0")/../.."

PYTHON=${PYTHON:-python3}
PEERS=.venv-peers

if [[ ! -e $PEERS/.installed-2 ]]; then
    echo "installing MMSegmentation into $PEERS (once)"
    "$PYTHON" -m venv "$PEERS"
    # mmengine imports pkg_resources, which setuptools 81 dropped. torch is of the same version on both sides.
    torch=$(.venv/bin/python -c 'import importlib.metadata as m; print(m.version("torch").split("+")[0])')
    "$PEERS/bin/pip" install --quiet "torch==$torch" mmengine==0.10.7 mmcv-lite==2.1.0 mmsegmentation==1.2.2 \
        mmdet==3.3.0 mmpretrain==1.2.0 ftfy regex "setuptools<81"
    # mmcv-lite has no compiled operators. PSPNet needs none, but mmseg imports them.
    cat > "$("$PEERS/bin/python" -c 'import importlib.util as u; print(u.find_spec("mmcv").submodule_search_locations[0])')/_ext.py" <<'STUB'
def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)

    def missing(*args, **kwargs):
        raise NotImplementedError(f"mmcv-lite has no compiled operator {name}")

    return missing
STUB
    touch "$PEERS/.installed-2"
fi
