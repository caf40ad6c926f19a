#!/usr/bin/env bash
# Fetches ONNX Runtime Web from npm for the page of `hmr-light export format=web`: 41 MB, of which a visitor loads one half.
set -euo pipefail
cd "$(dirname "$0")/.."
version=1.30.0
sha256=d2228df7e4616bc3348bf504ee888f3bec43789a273f0a63f3e68d203ce3bf71
web=src/hmr_light/deployment/web
files=(ort.wasm.min.mjs ort-wasm-simd-threaded.mjs ort-wasm-simd-threaded.wasm
    ort.webgpu.min.mjs ort-wasm-simd-threaded.asyncify.mjs ort-wasm-simd-threaded.asyncify.wasm)

if [ "$(cat "$web/onnxruntime/VERSION" 2>/dev/null)" = "$version" ]; then
    exit 0
fi
command -v npm >/dev/null || {
    echo "get_onnxruntime_web: npm is not installed (Debian: apt-get install npm)" >&2
    exit 2
}
folder=$(mktemp -d "$web/.onnxruntime.XXXXXX")
trap 'rm -rf "$folder"' EXIT
archive=$(npm pack --loglevel error --pack-destination "$folder" "onnxruntime-web@$version") || {
    echo "get_onnxruntime_web: npm cannot fetch onnxruntime-web@$version, for the reason above" >&2
    exit 2
}
echo "$sha256  $folder/$archive" | sha256sum --check --quiet
mkdir "$folder/new"
tar -xzf "$folder/$archive" -C "$folder/new" --strip-components=2 "${files[@]/#/package/dist/}"
echo "$version" > "$folder/new/VERSION"
chmod 755 "$folder/new"
rm -rf "$web/onnxruntime"
mv -T "$folder/new" "$web/onnxruntime"
echo "ONNX Runtime Web $version: $(du -sh "$web/onnxruntime" | cut -f1) in $web/onnxruntime"
