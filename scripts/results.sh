#!/usr/bin/env bash
# The table, the curves and the pictures of docs/results.md: four models and the mean pose, one recipe, on the rendered set.
# Less than an hour on two cores.
set -euo pipefail
cd "$(dirname "$0")/.."
export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-PASSIVE}
export HMR_LIGHT_HOME=${HMR_LIGHT_HOME:-$PWD}
hmr=${HMR_LIGHT:-.venv/bin/hmr-light}
data=$HMR_LIGHT_HOME/data/results
track=tracking.experiment=results

$hmr prepare dataset=synthetic dataset.out="$data" dataset.size=160 "dataset.counts={train: 3000, val: 500, test: 1000}"

recipe=(data.root="$data" data.image_size=96 data.workers=1 trainer.batch_size=32 optimizer.learning_rate=5e-4 $track)
$hmr train experiment=mean_pose "${recipe[@]}"
for row in squeezenet1_0 squeezenet_1 mobilenet_v2 hmr; do
    $hmr train experiment=$row trainer.epochs=6 "${recipe[@]}"
done

for run in "$HMR_LIGHT_HOME"/outputs/results/*/; do
    $hmr evaluate run="$run" data=synthetic_test data.root="$data" $track
done
$hmr table $track
