#!/usr/bin/env bash
# The main job, small: rendered data, a backbone from random weights and from MoveNet's, the mean-pose baseline, evaluation,
# table; then the model that comes with the package draws a photograph. Minutes on two cores.
# What is done already is not done again: the dataset is kept, and a training that was stopped goes on.
set -euo pipefail
cd "$(dirname "$0")/.."
export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-PASSIVE}
export HMR_LIGHT_HOME=${HMR_LIGHT_HOME:-$PWD}
hmr=.venv/bin/hmr-light
data=$HMR_LIGHT_HOME/data/demo
started=$SECONDS

step() { printf '\n\033[1m[demo, %d s] %s\033[0m\n' $((SECONDS - started)) "$*" >&2; }

step "1/5 rendering a small dataset: whole people, nothing in front of them"
$hmr prepare source=synthetic source.out="$data" source.size=96 "source.counts={train: 2000, val: 200, test: 200, test_ood: 0}" \
    source.camera.truncation=0 source.camera.crop_scale_std=0 source.camera.crop_shift=0 \
    source.scene.occlusion=0 source.scene.second_person=0

step "2/5 training a backbone from random weights and from MoveNet's, and the mean-pose baseline"
for row in mean_pose mobilenet_v2 mobilenet_v2_movenet; do
    $hmr train experiment=demo_$row resume=auto
done

step "3/5 evaluating each run's best checkpoint on the test split"
for run in "$HMR_LIGHT_HOME"/outputs/demo/*/; do
    $hmr evaluate run="$run" data=synthetic_test data.root="$data"
done

step "4/5 the comparison table"
$hmr table tracking.experiment=demo

step "5/5 the model that comes with the package, on a photograph"
picture=$HMR_LIGHT_HOME/outputs/predictions/$(date +%y%m%d-%H%M%S)-demo
$hmr predict input=data/camera.png out="$picture"

step "done"
echo "The body that the model sees in the photograph data/camera.png: $picture/camera.png"
echo "The images and their labels: $data/contact_sheet.png. A run's predictions: outputs/demo/<run>/predictions.png."
echo "Every run is in MLflow: make ui ARGS=tracking.experiment=demo   (then open the address that it prints)"
