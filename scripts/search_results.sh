#!/usr/bin/env bash
# The studies of docs/search.md, on the rendered set of docs/results.md at 64×64: search_space=shufflenet within half of
# ShuffleNetV2's cost, by trained networks, at random, and by a supernet; do the ranks hold; the winners beside networks
# that were made by hand. Started once more after a stop, it goes on where it was. `scripts/search_results.sh PART…` does
# some parts: tpe, random, seeds, supernet, long, shared, small, winners, hand, distil, table; without a name, all of them.
#
# What it may be given by the environment:
#   TRIALS=60 NETWORKS=1000      networks that are trained; networks that are measured by the supernet
#   SEEDS="0 1"                  of the winners and of the networks that were made by hand
#   OPTIONS=""                   more options of all trainings: trainer.device=cuda data.workers=14
#   MOVENET_RUN=FOLDER           a finished run of row mobilenet_v2_movenet on this set, instead of training the teacher
#   RESULTS_DATA=FOLDER          the set of docs/results.md, where it is rendered already
set -euo pipefail
cd "$(dirname "$0")/.."
export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-PASSIVE}
export HMR_LIGHT_HOME=${HMR_LIGHT_HOME:-$PWD}
hmr=${HMR_LIGHT:-.venv/bin/hmr-light}
data=${RESULTS_DATA:-$HMR_LIGHT_HOME/data/results}
track=tracking.experiment=search
read -ra more <<<"${OPTIONS:-}"

. scripts/results_recipe.sh
[ -e "$data/train.npz" ] || render_results
teacher=${MOVENET_RUN:-}
if [ -z "$teacher" ]; then
    mkdir -p "$HMR_LIGHT_HOME/outputs/results"
    track=tracking.experiment=results train mobilenet_v2_movenet 0 backbone=mobilenet_v2_movenet trainer.epochs=4
    teacher=$(ls -d "$HMR_LIGHT_HOME"/outputs/results/*-mobilenet_v2_movenet | head -1)
fi

recipe=(data=synthetic data.root="$data" data.workers=0 data/augmentation=none data.augmentation.flip_probability=0.5
    objective=distillation distillation=outputs distillation.teacher="$teacher" distillation.cache=true
    optimizer.learning_rate=3e-4 optimizer.backbone_factor=80
    trainer.batch_size=32 trainer.clip_gradient_norm=10 trainer.threads=1 $track "${more[@]}")
# Half of what ShuffleNetV2 ×1.0 has with a light regressor.
options=(search_space=shufflenet "objectives=[error,macs]" budget.macs=6.4e6 budget.parameters=7e5 "${recipe[@]}")
# 20,000 images: ShuffleNetV2 ×1.0 is 30 mm better than the mean pose then.
short=(trainer.epochs=1 data.train.synthetic.limit=20000)
trials=${TRIALS:-60}

tpe() { $hmr search "${options[@]}" "${short[@]}" sampler=tpe trials="$trials"; }
random() { $hmr search "${options[@]}" "${short[@]}" sampler=random trials="$trials"; }
# Twelve networks that were drawn at random, with another seed.
seeds() { $hmr search "${options[@]}" "${short[@]}" study=shufflenet-seeds networks=shufflenet-random trials=12 seed=1; }
# 14 epochs and 1,000 networks take one core about as long as 60 trials. With the trials' learning rate it learns nothing.
shared_training=(method=supernet trainer.epochs=14 optimizer.backbone_factor=25)
supernet() {
    $hmr search "${options[@]}" "${shared_training[@]}" sampler=nsga2 study=shufflenet-supernet trials="${NETWORKS:-1000}"
}
# Twelve networks that were drawn at random, for longer: does the short training rank as 128,000 images do?
long() { $hmr search "${options[@]}" study=shufflenet-long networks=shufflenet-random trials=12 trainer.epochs=4; }
# The networks that were drawn at random, and those that were trained for longer, by the supernet: does it rank as they do?
shared() {
    local study
    for study in random long; do
        $hmr search "${options[@]}" "${shared_training[@]}" study=shufflenet-shared-$study \
            supernet.study=shufflenet-supernet networks=shufflenet-$study trials="$trials"
    done
}

# The least error within half a million parameters and what the SqueezeNet of that size costs: with every kind of block, and
# with ShuffleNetV2's alone; and that SqueezeNet's error after as many images.
small() {
    local within=("objectives=[error]" budget.macs=27.4e6 budget.parameters=5e5 "${recipe[@]}" "${short[@]}" sampler=tpe)
    $hmr search search_space=mixed search_space.image_size=64 "${within[@]}" study=mixed-small trials=12
    $hmr search search_space=shufflenet "${within[@]}" study=shufflenet-small trials=24
    $hmr train backbone=squeezenet_bottleneck backbone/adapter=pooled regressor=light row=squeezenet_bottleneck-short \
        "${recipe[@]}" "${short[@]}" data.image_size=64 resume=auto
}

# The two best of each study, and networks that were made by hand, from random weights by the recipe of docs/results.md.
winners() {
    local study number name preset layers seed seen
    mkdir -p "$HMR_LIGHT_HOME/outputs/results"
    for seed in ${SEEDS:-0 1}; do
        seen=""
        for study in shufflenet-tpe shufflenet-random shufflenet-supernet; do
            for number in $(tail -n +2 "$HMR_LIGHT_HOME/outputs/studies/$study/front.csv" | head -2 | cut -d, -f1); do
                name=$study-$(printf %04d "$number")
                preset=$HMR_LIGHT_HOME/outputs/studies/$study/conf/experiment/searched/$name.yaml
                # The first networks that TPE draws are those that are drawn at random: the same one is trained once.
                layers=$(grep -v '^#\|^row:' "$preset" | cksum | tr -d ' ')
                [[ $seen == *"$layers"* ]] && continue
                seen+=" $layers"
                compare "$name" "$seed" --config-dir="$HMR_LIGHT_HOME/outputs/studies/$study/conf" \
                    experiment="searched/$name"
            done
        done
    done
}

hand() {
    local name seed
    mkdir -p "$HMR_LIGHT_HOME/outputs/results"
    for seed in ${SEEDS:-0 1}; do
        for name in shufflenet_v2_x1_0 shufflenet_v2_x0_5 shufflenet_v1 snet49 mobilenet_v3_small squeezenet_bottleneck; do
            compare "$name-light" "$seed" backbone="$name" backbone/adapter=pooled regressor=light
        done
    done
}

# The best of them, and the best that was made by hand, learn from the outputs of the package's mobile, as long.
distil() {
    learn shufflenet-random-0012-from-mobile experiment=searched/shufflenet-random-0012
    learn squeezenet_bottleneck-light-from-mobile backbone=squeezenet_bottleneck backbone/adapter=pooled regressor=light
}

# All of these on the test splits, their times in turns, and the table.
table() {
    local run runs set
    for run in "$HMR_LIGHT_HOME"/outputs/results/*/; do
        $hmr evaluate run="$run" data=synthetic_test_ood data.root="$data" tracking.experiment=results "${more[@]}"
        $hmr evaluate run="$run" data=synthetic_test data.root="$data" tracking.experiment=results "${more[@]}"
    done
    runs=$(printf '%s,' "$HMR_LIGHT_HOME"/outputs/results/*/)
    $hmr benchmark "models=[${runs%,}]" log=true "${more[@]}"
    $hmr sync run_dir="$HMR_LIGHT_HOME/outputs/results"
    for set in synthetic_test synthetic_test_ood; do
        $hmr table tracking.experiment=results evaluated_on=$set group=row sort=mpjpe_mm "columns=[macs]"
    done
}

compare() { # ROW SEED OPTIONS...
    track=tracking.experiment=results train "$@" trainer.epochs=4 data=synthetic "${more[@]}"
}

learn() { # ROW OPTIONS...
    $hmr train "${@:2}" row="$1" "${recipe[@]}" data.image_size=64 distillation.teacher=mobile trainer.epochs=4 \
        tracking.experiment=results resume=auto
}

for part in "${@:-all}"; do
    case $part in
    all) for one in tpe random seeds supernet long shared small winners hand distil table; do "$one"; done ;;
    *) "$part" ;;
    esac
done
