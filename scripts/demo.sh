#!/usr/bin/env bash
# The main job, small: rendered data, two backbones and the mean-pose baseline, evaluation, table. Minutes on two cores.
set -euo pipefail
cd "$(dirname "$0")/.."
export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-PASSIVE}
export HMR_LIGHT_HOME=${HMR_LIGHT_HOME:-$PWD/outputs/demo}
hmr=.venv/bin/hmr-light
started=$SECONDS

step() { printf '\n\033[1m[demo %3ds] %s\033[0m\n' $((SECONDS - started)) "$*" >&2; }

step "1/4 rendering a small dataset"
$hmr prepare dataset=synthetic dataset.train=1500 dataset.val=200 dataset.test=200

step "2/4 training two backbones and the mean-pose baseline"
for row in mean_pose mobilenet_v2 squeezenet1_0; do
    $hmr train experiment=demo_$row
done

step "3/4 evaluating the best checkpoint of each run on the test split"
for run in "$HMR_LIGHT_HOME"/outputs/demo/*/; do
    $hmr evaluate run="$run" data=synthetic_test tracking.experiment=demo
done

step "4/4 the comparison table"
$hmr table tracking.experiment=demo
echo
echo "Every run is in MLflow: HMR_LIGHT_HOME=$HMR_LIGHT_HOME make ui   (then open the address it prints)"
