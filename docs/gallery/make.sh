#!/bin/sh
# Makes every picture of this folder anew. Run it in the repository's root, with STRIATE_DATA set to the folder that holds weights/
# and with a run of the MNIST recipe:
#   docs/gallery/make.sh RUN
set -eu
run=$1
striate=${STRIATE:-striate}
to=docs/gallery
work=$(mktemp -d)
python3 "$to/scene.py"

"$striate" kernels "$to/scene.png" --out "$work"
cp "$work/kernels.png" "$work/relu.png" "$work/pooling.png" "$work/sliding.gif" "$to/"

"$striate" explain activations "$run/model.keras" "$to/seven.png" --layers first:5 --out "$work"
cp "$work/01_conv2d.png" "$to/activations-conv2d.png"
cp "$work/03_conv2d_1.png" "$to/activations-conv2d_1.png"
cp "$work/01_conv2d_channel_4.png" "$to/activations-channel.png"
"$striate" explain gradcam "$run/model.keras" "$to/seven.png" --layer conv2d_1 --out "$to/gradcam-seven.png"

"$striate" explain filters vgg16 --layer block1_conv1 --raw --out "$to/filters-raw.png"
"$striate" explain filters vgg16 --layer block3_conv1 --filter 0 --size 150 --steps 40 --out "$to/filter-block3_conv1-0.png"
for block in 1 2 3 4; do
    "$striate" explain filters vgg16 --layer "block${block}_conv1" --grid 8x8 --size 64 --out "$to/filters-block${block}_conv1.png"
done
"$striate" explain filters vgg16 --layer block4_conv1 --grid 2x4 --size 128 --clear --out "$to/filters-clear.png"
"$striate" explain filters vgg16 --layer block4_conv1 --grid 2x4 --size 128 --decorrelated --out "$to/filters-decorrelated.png"

"$striate" dream "$to/scene.png" --out "$to/dream.png"
"$striate" style "$to/scene.png" "$to/brush.png" --out "$to/style.png"
rm -r "$work"
