#!/usr/bin/env bash
# The table, the curves and the pictures of docs/results.md: four models and the mean pose, one recipe, on the rendered set.
# About 40 minutes on two cores.
set -euo pipefail
cd "$(dirname "$0")/.."
export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-PASSIVE}
export HMR_LIGHT_HOME=${HMR_LIGHT_HOME:-$PWD}
hmr=${HMR_LIGHT:-.venv/bin/hmr-light}
data=$HMR_LIGHT_HOME/data/results
track=tracking.experiment=results

# A first, easy set: whole people, nothing in front of them.
$hmr prepare dataset=synthetic dataset.out="$data" dataset.size=96 "dataset.counts={train: 8000, val: 500, test: 1000, test_ood: 1000}" \
    dataset.camera.truncation=0 dataset.scene.occlusion=0

# Too few epochs for augmentation and dropout to be of use.
recipe=(data.root="$data" data.image_size=64 data.workers=1 data/augmentation=none trainer.epochs=4 trainer.batch_size=32
    trainer.threads=1 trainer.checkpoint_steps=null $track)

# Two lanes of one thread: the large model beside the light ones.
$hmr train experiment=hmr regressor.dropout=0 "${recipe[@]}" &
$hmr train experiment=mean_pose "${recipe[@]}"
for row in mobilenet_v2 squeezenet1_0 squeezenet_1; do
    $hmr train experiment=$row regressor.dropout=0 "${recipe[@]}"
done
wait

for run in "$HMR_LIGHT_HOME"/outputs/results/*/; do
    $hmr evaluate run="$run" data=synthetic_test data.root="$data" $track
done
$hmr table $track
