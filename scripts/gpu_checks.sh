#!/usr/bin/env bash
# What needs a GPU: the tests on CUDA, the starts of docs/results.md, and the models that come with the package. With one
# H100 and 16 cores `render` took 4 minutes, `mobile` 5 and `pocket` 4. Each step started once more goes on where it was:
#   scripts/gpu_checks.sh tests | render | starts | mobile | pocket | evaluate | compression
# MLflow need not be there: the runs' only record is their journal, for `hmr-light sync` on another machine.
set -euo pipefail
cd "$(dirname "$0")/.."
export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-PASSIVE} OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
export HMR_LIGHT_HOME=${HMR_LIGHT_HOME:-$PWD}
hmr=${HMR_LIGHT:-.venv/bin/hmr-light}
python=${PYTHON:-.venv/bin/python}
images=${IMAGES:-120000}                        # to train the models of the package on
workers=${WORKERS:-$(($(nproc) - 2))}           # loader processes
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

of_package="data.workers=$workers trainer.precision=bfloat16 trainer.threads=1 trainer.checkpoint_steps=1000 resume=auto
    tracking.experiment=zoo $track"

mobile() { # OPTIONS...
    $hmr train experiment=mobile data.root="$hard" $of_package "$@"
}

# Most channels of the package's `mobile` go, but none of its regressor's; what is left learns from the labels and from
# what `mobile` predicts.
pocket() { # OPTIONS...
    $hmr compress checkpoint=mobile data.root="$hard" row=pocket compression=prune compression.criterion=taylor \
        compression.scope=global "compression.layers={regressor*: 1.0}" compression.budget.parameters=950000 \
        objective=distillation distillation=mixed optimizer=adamw \
        optimizer.learning_rate=1e-3 optimizer.backbone_factor=1 optimizer.bias_factor=1 optimizer.weight_decay=0.05 \
        optimizer.decay_depthwise=false optimizer.warmup_steps=200 trainer.epochs=${EPOCHS:-8} trainer.batch_size=256 \
        trainer.clip_gradient_norm=1 trainer.ema_decay=0.999 $of_package "$@"
}

evaluate() {
    local run
    for run in "$HMR_LIGHT_HOME"/outputs/zoo/*/; do
        $hmr evaluate run="$run" data=synthetic_test data.root="$hard" $track
        $hmr evaluate run="$run" data=synthetic_test_ood data.root="$hard" $track
    done
}

# The tables of docs/compression.md, or parts of them; not timed on a GPU yet.
compression() { # PART...
    RESULTS_DATA=$data MOBILE_DATA=$hard OPTIONS="trainer.device=cuda data.workers=$workers $track" \
        scripts/compression_results.sh "$@"
}

case ${1:-} in
    tests | render | starts | mobile | pocket | evaluate | compression) "$@" ;;
    *) sed -n 's/^#   //p' "$0"; exit 2 ;;
esac
