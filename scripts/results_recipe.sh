# The set and the recipe of docs/results.md, for the scripts that source this file. They set `hmr` (the command), `data`
# (the folder of the set) and `track` (options of tracking).

# The easy end of the rendered set: one whole person in plain clothes who more or less faces the camera, nothing in
# front or around, exact boxes. test-ood still has other backgrounds, wider cameras, looser clothes, things in front.
render_results() {
    $hmr prepare source=synthetic source.out="$data" source.size=80 \
    "source.counts={train: 32000, val: 1000, test: 2000, test_ood: 2000}" "source.poses.yaw_degrees=[-60,60]" \
    source.camera.truncation=0 source.camera.crop_scale_std=0 source.camera.crop_shift=0.05 \
    source.people.patterned=0 source.people.skirt=0 source.people.coat=0 source.people.loose=0 \
    source.scene.occlusion=0 source.scene.second_person=0 "source.scene.clutter=[0,0]" \
    "source.sensor.noise=[0,3]" source.sensor.motion_blur=0
}

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
