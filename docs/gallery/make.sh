#!/bin/sh
# Makes every picture of this folder anew. Run it in the repository's root, with STRIATE_DATA set to the folder that holds weights/
# and with a run of the MNIST recipe and one of cats-dogs-finetune. Python with Pillow makes two large pictures smaller.
#   docs/gallery/make.sh RUN PETS
set -eu
run=$1
pets=$2
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

"$striate" explain activations vgg16 "$to/cat.jpg" --layers first:8 --out "$work"
cp "$work/01_block1_conv1_channel_4.png" "$to/activations-vgg16-channel.png"
smaller() {
    python3 -c 'import sys; from PIL import Image; Image.open(sys.argv[1]).convert("RGB").reduce(int(sys.argv[3])).quantize(128).save(sys.argv[2])' "$@"
}
smaller "$work/03_block1_pool.png" "$to/activations-vgg16-block1_pool.png" 2
smaller "$work/06_block2_pool.png" "$to/activations-vgg16-block2_pool.png" 1
"$striate" explain gradcam "$pets/model.keras" "$to/cat.jpg" --layer vgg16/block5_conv3 --out "$to/gradcam-cat.png"
"$striate" explain saliency "$pets/model.keras" "$to/cat.jpg" --out "$to/saliency-cat.png"
"$striate" explain occlusion "$pets/model.keras" "$to/cat.jpg" --out "$to/occlusion-cat.png"

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
