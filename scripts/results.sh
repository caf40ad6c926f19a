#!/usr/bin/env bash
# The tables of docs/results.md: seven models, two baselines, second seeds, on the rendered set.
# About two hours on two cores. Started once more after a stop, it goes on where it was.
set -euo pipefail
cd "$(dirname "$0")/.."
export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-PASSIVE}
export HMR_LIGHT_HOME=${HMR_LIGHT_HOME:-$PWD}
hmr=${HMR_LIGHT:-.venv/bin/hmr-light}
data=$HMR_LIGHT_HOME/data/results
track=tracking.experiment=results

# The easy end of the rendered set: one whole person in plain clothes who more or less faces the camera, nothing in
# front or around, exact boxes. test-ood still has other backgrounds, wider cameras, looser clothes, things in front.
$hmr prepare source=synthetic source.out="$data" source.size=80 \
    "source.counts={train: 32000, val: 1000, test: 2000, test_ood: 2000}" "source.poses.yaw_degrees=[-60,60]" \
    source.camera.truncation=0 source.camera.crop_scale_std=0 source.camera.crop_shift=0.05 \
    source.people.patterned=0 source.people.skirt=0 source.people.coat=0 source.people.loose=0 \
    source.scene.occlusion=0 source.scene.second_person=0 "source.scene.clutter=[0,0]" \
    "source.sensor.noise=[0,3]" source.sensor.motion_blur=0

# One recipe for all, from random weights, of which the first thousand steps decide (docs/results.md).
train() { # ROW SEED OPTIONS...
    local row=$1 seed=$2 done=$HMR_LIGHT_HOME/outputs/results/.$1-$2
    shift 2
    [ -e "$done" ] && return
    $hmr train "$@" row="$row" seed="$seed" data.root="$data" data.image_size=64 data.workers=1 data/augmentation=none \
        data.augmentation.flip_probability=0.5 regressor.dropout=0 optimizer.warmup_steps=1000 trainer.batch_size=32 \
        trainer.clip_gradient_norm=10 trainer.threads=1 resume=auto $track
    touch "$done"
}

# Two lanes of one thread: the large models beside the light ones. bfloat16 is half as fast again where there are no
# depthwise convolutions, and slower where there are.
half=trainer.precision=bfloat16
no_dropout=backbone.adapter.dropout=0
four=trainer.epochs=4
(
    train hmr 0 experiment=reference/hmr $four $half
    train densenet 0 experiment=reference/densenet $four $half
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
train shuffled_images 0 experiment=shuffled_images trainer.epochs=1 $no_dropout
wait

for run in "$HMR_LIGHT_HOME"/outputs/results/*/; do
    $hmr evaluate run="$run" data=synthetic_test_ood data.root="$data" $track
    $hmr evaluate run="$run" data=synthetic_test data.root="$data" $track
done
# Inference times in turns and undisturbed, instead of those that each training measured beside another.
runs=$(printf '%s,' "$HMR_LIGHT_HOME"/outputs/results/*/)
$hmr benchmark "models=[${runs%,}]" log=true $track
$hmr table $track group=row evaluated_on=synthetic_test
$hmr table $track group=row evaluated_on=synthetic_test_ood
