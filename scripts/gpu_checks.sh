#!/usr/bin/env bash
# What needs a GPU: the tests on CUDA, the starts of docs/results.md, and the models in the box. With one H100 and 16
# cores about twelve minutes in all; each step is a command of its own, and started once more it goes on where it was:
#   scripts/gpu_checks.sh tests | render | starts | mobile | pocket | evaluate
# MLflow need not be there: the runs' only record is their journal, for `hmr-light sync` on another machine.
set -euo pipefail
cd "$(dirname "$0")/.."
export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-PASSIVE} OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
export HMR_LIGHT_HOME=${HMR_LIGHT_HOME:-$PWD}
hmr=${HMR_LIGHT:-.venv/bin/hmr-light}
python=${PYTHON:-.venv/bin/python}
images=${IMAGES:-120000}                        # to train the models in the box on
workers=${WORKERS:-$(($(nproc) * 3 / 8))}       # loader processes of each of the two
data=$HMR_LIGHT_HOME/data/results
hard=$HMR_LIGHT_HOME/data/synthetic
track=tracking=journal

. scripts/results_recipe.sh

tests() {
    $python -m pytest -q tests/training/test_cuda.py tests/cost/test_latency.py tests/cost/test_paired.py -k "cuda or gpu"
}

render() {
    render_results
    $hmr prepare source=synthetic source.out="$hard" "source.counts={train: $images, val: 2000, test: 4000, test_ood: 4000}"
}

# ResNet-50 from random weights beside the two light networks that start from weights that have seen photographs.
starts() {
    local run seed
    mkdir -p "$HMR_LIGHT_HOME/outputs/results"
    for seed in 0 1; do
        train hmr $seed experiment=reference/hmr trainer.epochs=4 trainer.precision=bfloat16 tracking.experiment=results &
        train mobilenet_v2_movenet $seed backbone=mobilenet_v2_movenet trainer.epochs=4 tracking.experiment=results &
        train efficientnet_lite0 $seed backbone=efficientnet_lite0 backbone.weights=imagenet trainer.epochs=4 \
            tracking.experiment=results &
    done
    wait
    for run in "$HMR_LIGHT_HOME"/outputs/results/*/; do
        $hmr evaluate run="$run" data=synthetic_test data.root="$data" $track
        $hmr evaluate run="$run" data=synthetic_test_ood data.root="$data" $track
    done
}

in_box() { # NAME OPTIONS...
    $hmr train experiment="$1" data.root="$hard" data.workers="$workers" trainer.precision=bfloat16 trainer.threads=1 \
        trainer.checkpoint_steps=1000 resume=auto tracking.experiment=zoo $track "${@:2}"
}

evaluate() {
    local run
    for run in "$HMR_LIGHT_HOME"/outputs/zoo/*/; do
        $hmr evaluate run="$run" data=synthetic_test data.root="$hard" $track
        $hmr evaluate run="$run" data=synthetic_test_ood data.root="$hard" $track
    done
}

case ${1:-} in
    tests | render | starts | evaluate) "$1" ;;
    mobile | pocket) in_box "$@" ;;
    *) sed -n 's/^#   //p' "$0"; exit 2 ;;
esac
