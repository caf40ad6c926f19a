#!/usr/bin/env bash
# The measured tables of docs/compression.md, on the rendered set of docs/results.md at 64×64: each step of `compress` on
# trained networks, the chains, distillation against labels alone, and each proposal as distil → prune → int8.
# Started once more after a stop, it goes on where it was. `scripts/compression_results.sh PART…` does some parts:
# parents, steps, objectives, proposals, mobile, page; without a name, all of them.
#
# What it may be given by the environment; the default values are the whole recipe, 32,000 images an epoch:
#   PARENT_EPOCHS=4 PROPOSAL_EPOCHS=4 TUNE_EPOCHS=1
#   TUNE_PEOPLE=null PRUNE_PEOPLE=null     fine-tuning, and that of narrower networks, sees the first so many people alone
#   PEOPLE=null            how many people of each test split are measured, the first ones; null: all 2,000
#   PARENTS="movenet squeezenet shufflenet"   PROPOSALS="mobilenetv3 …"
#   OPTIONS=""             more options of all runs: trainer.device=cuda data.workers=14
#   MOVENET_RUN=FOLDER     a finished run of row mobilenet_v2_movenet on this set, instead of training one
#   RESULTS_DATA=FOLDER    the set of docs/results.md, where it is rendered already
#   MOBILE_DATA=FOLDER MOBILE_PEOPLE=500   the default set, and how many people of its splits, for the package's `mobile`
set -euo pipefail
cd "$(dirname "$0")/.."
export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-PASSIVE}
export HMR_LIGHT_HOME=${HMR_LIGHT_HOME:-$PWD}
hmr=${HMR_LIGHT:-.venv/bin/hmr-light}
python=${PYTHON:-.venv/bin/python}
data=${RESULTS_DATA:-$HMR_LIGHT_HOME/data/results}
track=tracking.experiment=compression
runs=$HMR_LIGHT_HOME/outputs/compression
read -ra all_parents <<<"${PARENTS:-movenet squeezenet shufflenet}"
read -ra all_proposals <<<"${PROPOSALS:-mobilenetv3 shufflenet_v1 shufflenet_residual shufflenet_fire mobilenet_fire \
    squeezenet_bottleneck}"
mkdir -p "$runs"

. scripts/results_recipe.sh
[ -e "$data/train.npz" ] || render_results

# All runs measure both test splits when they end, and nothing before: there is no checkpoint to be chosen.
people=${PEOPLE:-null}
shared=(data=synthetic data.root="$data" data.workers=0 data/augmentation=none data.augmentation.flip_probability=0.5
    ~data.evaluation.synthetic
    "+data.evaluation.synthetic_test={annotations: \"\${data.root}/test.npz\", images: \"\${data.root}\",
        limit: $people}"
    "+data.evaluation.synthetic_test_ood={annotations: \"\${data.root}/test-ood.npz\", images: \"\${data.root}\",
        limit: $people}"
    trainer.batch_size=32 trainer.clip_gradient_norm=10 trainer.threads=1 resume=auto)
read -ra more <<<"${OPTIONS:-}"
shared+=("${more[@]}")
tune=${TUNE_EPOCHS:-1}
tuned=(trainer.epochs="$tune" trainer.evaluate_every="$tune" data.train.synthetic.limit="${TUNE_PEOPLE:-null}"
    optimizer.bias_factor=1 optimizer.warmup_steps=50)
narrow=(compression=prune "${tuned[@]}" data.train.synthetic.limit="${PRUNE_PEOPLE:-null}")
# What the parent predicts, without labels: so the child is not the better for having been trained longer.
by_parent=(objective=distillation distillation=outputs distillation.cache=true)

once() { # NAME COMMAND...
    [ -e "$runs/.$1" ] && return
    "${@:2}"
    touch "$runs/.$1"
}
run_of() { # ROW
    ls -d "$runs"/??????-??????-"$1" | tail -1
}
learn() { # ROW EPOCHS OPTIONS...
    once "$1" $hmr train "${shared[@]}" $track row="$1" data.image_size=64 regressor.dropout=0 \
        optimizer.warmup_steps=1000 trainer.epochs="$2" trainer.evaluate_every="$2" "${@:3}"
}
shrink() { # PARENT ROW OPTIONS...
    [ -e "$runs/.$2" ] || once "$2" $hmr compress run="$(run_of "$1")" "${shared[@]}" $track row="$2" "${@:3}"
}

take_movenet() { # a run that is there already, as a run of this experiment
    local copy split
    copy=$runs/$(basename "$MOVENET_RUN" | cut -c1-13)-movenet
    mkdir -p "$copy"
    cp -r "$MOVENET_RUN"/{config.yaml,environment.txt,journal.jsonl,checkpoints,*.png} "$copy"
    sed -i '1s/"experiment":"[^"]*"/"experiment":"compression"/' "$copy/journal.jsonl" # a journal says whose run it is
    $hmr sync run_dir="$copy"
    if [ "$people" != null ]; then
        for split in test test_ood; do
            $hmr evaluate run="$copy" data="synthetic_$split" data.root="$data" data.workers=0 \
                "data.evaluation.synthetic_$split.limit=$people"
        done
    fi
}
parent() { # NAME: the recipe of docs/results.md
    local epochs=${PARENT_EPOCHS:-4}
    case $1 in
    movenet)
        [ -z "${MOVENET_RUN:-}" ] || once movenet take_movenet
        learn movenet "$epochs" backbone=mobilenet_v2_movenet
        ;;
    squeezenet)
        learn squeezenet "$epochs" experiment=reference/squeezenet1_0 trainer.precision=bfloat16 \
            backbone.adapter.dropout=0
        ;;
    shufflenet) learn shufflenet "$epochs" backbone=shufflenet_v2_x1_0 ;;
    esac
}
parents() {
    once mean_pose $hmr train experiment=mean_pose "${shared[@]}" $track data.image_size=64
    for name in "${all_parents[@]}"; do parent "$name"; done
}

one_shot() { # PARENT: what needs no training
    shrink "$1" "$1-int8" compression=int8
    shrink "$1" "$1-fold" compression=fold
    shrink "$1-fold" "$1-fold-share6" compression=share compression.scale=channel
    shrink "$1-fold" "$1-fold-share4" compression=share compression.bits=4 compression.scale=channel
    shrink "$1" "$1-low_rank" compression=low_rank
}
fine_tuned() { # PARENT: by what it predicts
    local by=("${by_parent[@]}" distillation.teacher="$(run_of "$1")" "${tuned[@]}")
    shrink "$1-fold" "$1-fold-share4-tuned" compression=share compression.bits=4 compression.scale=channel "${by[@]}" \
        optimizer.learning_rate=2e-5
    shrink "$1-fold" "$1-fold-sparse" compression=sparse "${by[@]}" optimizer.learning_rate=5e-5
    shrink "$1-fold-sparse" "$1-fold-sparse-share6" compression=share compression.scale=channel
    # Depthwise networks have no large kernels that two others would be cheaper than.
    [ "$1" != squeezenet ] || shrink "$1" "$1-compact" compression=compact "${by[@]}"
    # Narrower: half of the channels, and three quarters; then the chains, integers or few values.
    local row
    shrink "$1" "$1-prune" "${narrow[@]}" compression.keep=0.5 "${by_parent[@]}"
    shrink "$1" "$1-prune75" "${narrow[@]}" compression.keep=0.75 "${by_parent[@]}"
    for row in "$1-prune" "$1-prune75"; do
        shrink "$row" "$row-int8" compression=int8
        shrink "$row" "$row-fold-share6" compression=share "compression.steps=[fold,share]" compression.scale=channel
    done
}
steps() {
    for name in "${all_parents[@]}"; do one_shot "$name"; done
    for name in "${all_parents[@]}"; do fine_tuned "$name"; done
}

# The same narrow network, the same steps: from what the parent predicts, from the labels, from both; two seeds.
objectives() {
    local three_quarters=("${narrow[@]}" compression.keep=0.75) seed end
    for seed in 0 1; do
        end=${seed/0/} end=${end:+-seed$end}
        shrink movenet "movenet-prune75$end" "${three_quarters[@]}" "${by_parent[@]}" seed="$seed"
        shrink movenet "movenet-prune75-labels$end" "${three_quarters[@]}" seed="$seed"
        shrink movenet "movenet-prune75-both$end" "${three_quarters[@]}" objective=distillation distillation=mixed \
            seed="$seed"
    done
}

# "Prune, quantise, distil all of them": each proposal learns from movenet and the labels, then prune → int8.
proposals() {
    local teacher name backbone
    teacher=$(run_of movenet)
    local mixed=(objective=distillation distillation=mixed distillation.teacher="$teacher" distillation.cache=true)
    for name in "${all_proposals[@]}"; do
        case $name in
        mobilenetv3) backbone=(backbone=mobilenet_v3_reference backbone.adapter.dropout=0) ;;
        shufflenet_v1) backbone=(backbone=shufflenet_v1_reference) ;;
        *) backbone=(backbone="$name") ;;
        esac
        learn "$name" "${PROPOSAL_EPOCHS:-4}" "${backbone[@]}" "${mixed[@]}"
        shrink "$name" "$name-prune-int8" "${narrow[@]}" "compression.steps=[prune,int8]" \
            compression.keep=0.5 "${mixed[@]}"
    done
}

# The package's `mobile` at its own size, on the first people of the default set's splits; nothing is trained.
mobile() {
    local root=${MOBILE_DATA:-$HMR_LIGHT_HOME/data/synthetic}
    local first="images: \"\${data.root}\", limit: ${MOBILE_PEOPLE:-500}"
    local own=(data=synthetic data.root="$root" data.workers=0 trainer.threads=1 resume=auto
        "~data.evaluation.synthetic"
        "+data.evaluation.synthetic_test={annotations: \"\${data.root}/test.npz\", $first}"
        "+data.evaluation.synthetic_test_ood={annotations: \"\${data.root}/test-ood.npz\", $first}"
        tracking.experiment=compression_mobile "${more[@]}")
    [ -e "$root/train.npz" ] || $hmr prepare source=synthetic source.out="$root"
    once mobile $hmr train experiment=mobile init=mobile trainer.epochs=0 "${own[@]}"
    step() { # ROW OPTIONS...
        once "$1" $hmr compress run="$(ls -d "$HMR_LIGHT_HOME"/outputs/compression_mobile/*-mobile | tail -1)" \
            "${own[@]}" row="$1" "${@:2}"
    }
    step mobile-int8 compression=int8
    step mobile-share6 compression=share compression.scale=channel
    step mobile-share4 compression=share compression.bits=4 compression.scale=channel
    step mobile-sparse compression=sparse
    step mobile-prune compression=prune compression.keep=0.5
    step mobile-low_rank compression=low_rank
}

page() {
    local folder
    for folder in "$runs" "${runs}_mobile"; do [ ! -d "$folder" ] || $hmr sync run_dir="$folder"; done
    $python scripts/compression_page.py "$people" "${MOBILE_PEOPLE:-500}"
}

for part in "${@:-all}"; do
    case $part in
    all) parents; steps; objectives; proposals; mobile; page ;;
    movenet) parent movenet; one_shot movenet; fine_tuned movenet ;;
    *) "$part" ;;
    esac
done
