#!/usr/bin/env bash
# The tables of docs/results.md: nine models, two baselines, second seeds, on the rendered set.
# Hours on two cores. Started once more after a stop, it goes on where it was.
set -euo pipefail
cd "$(dirname "$0")/.."
export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-PASSIVE}
export HMR_LIGHT_HOME=${HMR_LIGHT_HOME:-$PWD}
hmr=${HMR_LIGHT:-.venv/bin/hmr-light}
data=$HMR_LIGHT_HOME/data/results
track=tracking.experiment=results

. scripts/results_recipe.sh
render_results

# Two lanes of one thread: the large models beside the light ones. bfloat16 is half as fast again where there are no
# depthwise convolutions, and slower where there are.
half=trainer.precision=bfloat16
no_dropout=backbone.adapter.dropout=0
four=trainer.epochs=4
(
    train hmr 0 experiment=reference/hmr $four $half
    train densenet 0 experiment=reference/densenet $four $half
    train hmr 1 experiment=reference/hmr $four $half
) &
[ -e "$HMR_LIGHT_HOME/outputs/results/.mean_pose" ] ||
    $hmr train experiment=mean_pose data.root="$data" data.image_size=64 $track
touch "$HMR_LIGHT_HOME/outputs/results/.mean_pose"
train squeezenet1_0 0 experiment=reference/squeezenet1_0 $four $half $no_dropout
train mobilenet_v2 0 experiment=mobilenet_v2 $four $no_dropout
train squeezenet_1 0 experiment=reference/squeezenet_1 $four $half $no_dropout
train shufflenet_v2 0 backbone=shufflenet_v2_x1_0 $four
train mobilenetv3 0 experiment=reference/mobilenetv3 $four $no_dropout
train squeezenet1_0 1 experiment=reference/squeezenet1_0 $four $half $no_dropout
train mobilenetv3 1 experiment=reference/mobilenetv3 $four $no_dropout
train mobilenet_v2_movenet 0 backbone=mobilenet_v2_movenet $four
train mobilenet_v2_movenet 1 backbone=mobilenet_v2_movenet $four
train efficientnet_lite0 0 backbone=efficientnet_lite0 backbone.weights=imagenet $four
train shuffled_images 0 experiment=shuffled_images trainer.epochs=1 $no_dropout
wait

for run in "$HMR_LIGHT_HOME"/outputs/results/*/; do
    $hmr evaluate run="$run" data=synthetic_test_ood data.root="$data" $track
    $hmr evaluate run="$run" data=synthetic_test data.root="$data" $track
done
# Inference times in turns and undisturbed, instead of those that each training measured beside another.
runs=$(printf '%s,' "$HMR_LIGHT_HOME"/outputs/results/*/)
$hmr benchmark "models=[${runs%,}]" log=true
$hmr table $track group=row evaluated_on=synthetic_test
$hmr table $track group=row evaluated_on=synthetic_test_ood
