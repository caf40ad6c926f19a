#!/usr/bin/env bash
# The table and the pictures of docs/results.md: four models and the mean pose, one recipe, on the rendered set.
# About 40 minutes on two cores.
set -euo pipefail
cd "$(dirname "$0")/.."
export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-PASSIVE}
export HMR_LIGHT_HOME=${HMR_LIGHT_HOME:-$PWD}
hmr=${HMR_LIGHT:-.venv/bin/hmr-light}
data=$HMR_LIGHT_HOME/data/results
track=tracking.experiment=results

# The easy end of the rendered set: one whole person in plain clothes, nothing in front or around, exact boxes.
$hmr prepare dataset=synthetic dataset.out="$data" dataset.size=80 \
    "dataset.counts={train: 16000, val: 500, test: 1000, test_ood: 1000}" \
    dataset.camera.truncation=0 dataset.camera.crop_scale_std=0 dataset.camera.crop_shift=0.05 \
    dataset.people.patterned=0 dataset.people.skirt=0 dataset.people.coat=0 \
    dataset.scene.occlusion=0 dataset.scene.second_person=0 "dataset.scene.clutter=[0,0]" \
    "dataset.sensor.noise=[0,3]" dataset.sensor.motion_blur=0

# One recipe for all. From random weights the first thousand steps decide: a short warm-up or a loss spike, and a network
# learns to ignore the image. And while it cannot tell front from back, 3D joints of much weight pull every limb to the
# body's axis (docs/results.md).
train() {
    $hmr train data.root="$data" data.image_size=64 data.workers=1 data/augmentation=none \
        data.augmentation.flip_probability=0.5 regressor.dropout=0 loss.pose=20 loss.keypoints_3d=2 \
        optimizer.warmup_steps=1000 trainer.clip_gradient_norm=10 trainer.batch_size=32 trainer.threads=1 trainer.checkpoint_steps=null $track "$@"
}

# Two lanes of one thread: the large model beside the light ones. bfloat16 is half as fast again where there are no
# depthwise convolutions.
train experiment=hmr trainer.epochs=4 optimizer.warmup_steps=300 trainer.precision=bfloat16 &
$hmr train experiment=mean_pose data.root="$data" data.image_size=64 $track
train experiment=mobilenet_v2 trainer.epochs=5
for row in squeezenet1_0 squeezenet_1; do
    train experiment=$row trainer.epochs=5 trainer.precision=bfloat16 backbone.adapter.dropout=0
done
wait

for run in "$HMR_LIGHT_HOME"/outputs/results/*/; do
    $hmr evaluate run="$run" data=synthetic_test data.root="$data" $track
done
$hmr table $track
