//! Folders of pictures, good and bad, and their augmentation.

use image::{GrayImage, Luma, Rgb, RgbImage};
use std::fs;
use std::path::Path;
use striate_data::augment::{Augmentation, Augmented};
use striate_data::image_file::Colour;
use striate_data::{BatchContext, Batching, ClassMode, Dataset, Fit, FolderOptions, ImageFolder, Standardize};
use striate_tensor::{Device, Error, Key, Shape};
use tempfile::TempDir;

fn device() -> Device {
    striate_testkit::reference::device()
}

fn gradient(width: u32, height: u32, red: u8) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| Rgb([red, (x * 255 / width) as u8, (y * 255 / height) as u8]))
}

/// Two classes: 6 JPEG gradients and 4 PNG checkerboards, one of them in a folder of its own.
fn made() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for class in ["boards/deep", "waves"] {
        fs::create_dir_all(folder.path().join(class)).unwrap();
    }
    for i in 0..6u8 {
        gradient(30 + u32::from(i), 20, 40 * i).save(folder.path().join(format!("waves/{i}.jpg"))).unwrap();
    }
    for i in 0..4u32 {
        let board = GrayImage::from_fn(16, 16, |x, y| Luma([if (x / 4 + y / 4 + i) % 2 == 0 { 0 } else { 250 }]));
        let name = if i == 3 { "boards/deep/0.PNG".into() } else { format!("boards/{i}.png") };
        board.save(folder.path().join(name)).unwrap();
    }
    fs::write(folder.path().join("waves/notes.txt"), "no picture").unwrap();
    fs::write(folder.path().join("waves/.hidden.jpg"), "no picture").unwrap();
    folder
}

fn small() -> FolderOptions {
    FolderOptions { target_size: (8, 8), ..FolderOptions::default() }
}

fn refused(folder: &Path, options: FolderOptions, words: &[&str]) {
    let error = ImageFolder::open(folder, options).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, Error::Data(_)), "{error:?}");
    assert!(words.iter().all(|word| text.contains(word)), "{text}");
}

#[test]
fn classes_come_from_folders_and_targets_from_the_mode() {
    let folder = made();
    let context = BatchContext::new(Key::new(0), &device());
    let open = |mode| ImageFolder::open(folder.path(), FolderOptions { class_mode: mode, ..small() }).unwrap();
    let data = open(ClassMode::Categorical);
    assert_eq!((data.len(), data.class_names()), (10, &["boards".to_string(), "waves".to_string()][..]));
    assert!(data.path(3).unwrap().ends_with("deep/0.PNG") && data.path(4).unwrap().ends_with("waves/0.jpg"));
    assert_eq!((data.label(3), data.label(4), data.label(10)), (Some(0), Some(1), None));
    let batch = data.batch(&[4, 0, 4], &context).unwrap();
    assert_eq!(*batch.inputs[0].shape(), Shape::from([3, 8, 8, 3]));
    assert_eq!(batch.targets[0].to_vec::<f32>().unwrap(), [0.0, 1.0, 1.0, 0.0, 0.0, 1.0]);
    assert_eq!(data.target_shapes(), [Shape::from([2])]);
    assert!(matches!(data.batch(&[10], &context), Err(Error::Shape(_))));
    for mode in [ClassMode::Binary, ClassMode::Sparse] {
        let batch = open(mode).batch(&[4, 0], &context).unwrap();
        assert_eq!(
            (*batch.targets[0].shape(), batch.targets[0].to_vec::<f32>().unwrap()),
            ([2, 1].into(), vec![1.0, 0.0])
        );
    }
    assert!(open(ClassMode::None).batch(&[1], &context).unwrap().targets.is_empty());
    let same = open(ClassMode::Input).batch(&[1, 5], &context).unwrap();
    assert_eq!(same.inputs[0].to_vec::<f32>().unwrap(), same.targets[0].to_vec::<f32>().unwrap());

    let options = FolderOptions {
        colour: Colour::Grey,
        fit: Fit::Pad(0),
        classes: vec!["waves".into(), "boards".into()],
        standardize: Standardize { rescale: 1.0 / 255.0, ..Standardize::default() },
        cache_bytes: 0,
        ..small()
    };
    let data = ImageFolder::open(folder.path(), options).unwrap();
    assert_eq!((data.label(0), data.input_shapes()), (Some(0), vec![Shape::from([8, 8, 1])]));
    let board = data.batch(&[6], &context).unwrap().inputs[0].to_vec::<f32>().unwrap();
    assert!(board.contains(&0.0) && board.contains(&(250.0 * (1.0 / 255.0))), "{board:?}");

    let inside = folder.path().join("waves");
    assert!(ImageFolder::open(&inside, small()).is_err());
    let flat = FolderOptions { class_mode: ClassMode::None, ..small() };
    assert_eq!(ImageFolder::open(&inside, flat).unwrap().len(), 6);
}

#[test]
fn a_validation_part_has_its_share_of_each_class() {
    let folder = made();
    let data = ImageFolder::open(folder.path(), small()).unwrap();
    let (train, validation) = data.validation_split(0.34).unwrap();
    let paths = |d: &ImageFolder| (0..d.len()).map(|i| d.path(i).unwrap().to_path_buf()).collect::<Vec<_>>();
    assert_eq!((train.len(), validation.len()), (7, 3));
    // As Keras has it: the first of each class.
    assert_eq!(paths(&validation), [paths(&data)[0].clone(), paths(&data)[4].clone(), paths(&data)[5].clone()]);
    assert!(paths(&train).iter().all(|path| !paths(&validation).contains(path)));
    assert!(data.validation_split(0.1).is_err() && data.validation_split(1.0).is_err());
}

#[test]
fn wrong_folders_are_told_apart() {
    let folder = made();
    refused(&folder.path().join("none"), small(), &["none", "no such folder"]);
    refused(&folder.path().join("waves"), small(), &["at least two classes"]);
    refused(folder.path(), FolderOptions { classes: vec!["waves".into()], ..small() }, &["at least two", "waves"]);
    let unknown = FolderOptions { classes: vec!["waves".into(), "birds".into()], ..small() };
    refused(folder.path(), unknown, &["none named birds", "the classes found are boards, waves"]);
    refused(&folder.path().join("waves"), small(), &["none; 6 pictures in the folder itself", "one folder for each"]);
    let flat = FolderOptions { classes: vec!["a".into(), "b".into()], ..small() };
    refused(&folder.path().join("waves"), flat, &["none named a", "6 pictures in the folder itself"]);
    refused(&folder.path().join("waves/0.jpg"), small(), &["a file, not a folder"]);
    // A third class is not silently left out; what archives of macOS and systems add is no class.
    let extra = made();
    fs::create_dir_all(extra.path().join("__MACOSX/waves")).unwrap();
    fs::create_dir(extra.path().join(".cache")).unwrap();
    fs::create_dir(extra.path().join("notes")).unwrap();
    fs::copy(extra.path().join("waves/0.jpg"), extra.path().join("__MACOSX/waves/0.jpg")).unwrap();
    let both = FolderOptions { classes: vec!["waves".into(), "boards".into()], ..small() };
    assert_eq!(ImageFolder::open(extra.path(), both.clone()).unwrap().len(), 10);
    fs::create_dir(extra.path().join("cows")).unwrap();
    fs::copy(extra.path().join("waves/0.jpg"), extra.path().join("cows/0.jpg")).unwrap();
    refused(extra.path(), both.clone(), &["classes waves, boards", "received cows with 1 picture"]);
    assert_eq!(ImageFolder::open(extra.path(), FolderOptions { skip_other: true, ..both }).unwrap().len(), 10);
    fs::create_dir(folder.path().join("empty")).unwrap();
    refused(folder.path(), small(), &["empty", "there must be pictures"]);
    let binary = FolderOptions { class_mode: ClassMode::Binary, ..small() };
    refused(folder.path(), binary, &["exactly two classes", "boards, empty, waves"]);
    let error = ImageFolder::open(folder.path(), FolderOptions { target_size: (0, 8), ..small() }).unwrap_err();
    assert!(matches!(error, Error::Argument(_)), "{error:?}");
}

#[test]
fn bad_files_are_all_named_or_left_out() {
    let folder = made();
    let waves = folder.path().join("waves");
    let whole = fs::read(waves.join("0.jpg")).unwrap();
    fs::write(waves.join("cut.jpg"), &whole[..whole.len() - 5]).unwrap();
    fs::write(waves.join("void.png"), b"").unwrap();
    fs::write(waves.join("page.jpeg"), b"<html>not found</html>").unwrap();
    fs::write(waves.join("cut.gif"), b"GIF89a").unwrap();
    let mut huge = fs::read(folder.path().join("boards/0.png")).unwrap();
    huge[16..24].copy_from_slice(&[0, 0, 0x80, 0, 0, 0, 0x80, 0]);
    let mut checksum = flate2::Crc::new();
    checksum.update(&huge[12..29]);
    huge[29..33].copy_from_slice(&checksum.sum().to_be_bytes());
    fs::write(waves.join("huge.png"), huge).unwrap();
    // A good picture may have the wrong ending, as long as it is one.
    fs::copy(folder.path().join("boards/0.png"), waves.join("other.jpg")).unwrap();
    let words = [
        "5 bad of 16",
        "cut.jpg",
        "cut off",
        "void.png",
        "empty file",
        "page.jpeg",
        "no picture",
        "huge.png",
        "at most",
        "cut.gif",
    ];
    refused(folder.path(), small(), &words);
    let data = ImageFolder::open(folder.path(), FolderOptions { skip_bad: true, ..small() }).unwrap();
    assert_eq!((data.len(), data.skipped().len()), (11, 5));
    assert!(data.skipped().iter().all(|bad| bad.path.starts_with(&waves) && !bad.reason.is_empty()));
    let context = BatchContext::new(Key::new(0), &device());
    data.batch(&(0..11).collect::<Vec<_>>(), &context).unwrap();

    let spoiled = folder.path().join("spoiled");
    fs::create_dir(&spoiled).unwrap();
    fs::write(spoiled.join("a.png"), b"x").unwrap();
    refused(folder.path(), FolderOptions { skip_bad: true, ..small() }, &["spoiled", "bad files only"]);
}

#[test]
fn damage_inside_the_pixels_is_an_error_with_the_files_name() {
    let folder = made();
    let path = folder.path().join("boards/1.png");
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.windows(4).position(|window| window == b"IDAT").unwrap() + 8;
    bytes[at] ^= 0xFF;
    fs::write(&path, bytes).unwrap();
    let data = ImageFolder::open(folder.path(), small()).unwrap();
    let error = data.batch(&[0, 1], &BatchContext::new(Key::new(0), &device())).unwrap_err();
    assert!(matches!(error, Error::Data(_)) && error.to_string().contains("1.png"), "{error}");
}

#[test]
fn augmented_batches_do_not_depend_on_the_workers() {
    let folder = made();
    let data = ImageFolder::open(folder.path(), small()).unwrap();
    let augmentation = Augmentation {
        rotation_range: 40.0,
        width_shift_range: 0.2.into(),
        zoom_range: 0.2.into(),
        horizontal_flip: true,
        ..Augmentation::default()
    };
    let augmented = Augmented::new(data.clone(), augmentation).unwrap();
    let epoch = |batch_size, workers, number| {
        let batching = Batching {
            batch_size,
            workers,
            prefetch: workers - 1,
            shuffle: true,
            key: Key::new(3),
            ..Batching::default()
        };
        let batches = batching.epoch(&augmented, number, &device()).unwrap();
        batches.flat_map(|batch| batch.unwrap().inputs[0].to_vec::<f32>().unwrap()).collect::<Vec<f32>>()
    };
    let first = epoch(3, 1, 0);
    assert_eq!(first.len(), 10 * 8 * 8 * 3);
    assert_eq!(first, epoch(3, 4, 0));
    assert_eq!(first, epoch(4, 2, 0));
    assert_ne!(first, epoch(3, 1, 1));
    let context = BatchContext::new(Key::new(5), &device());
    let plain = Augmented::new(data.clone(), Augmentation::default()).unwrap();
    let values = |d: &dyn Dataset| d.batch(&[2, 7], &context).unwrap().inputs[0].to_vec::<f32>().unwrap();
    assert_eq!(values(&plain), values(&data));
    assert_ne!(values(&augmented), values(&data));
    assert!(Augmented::new(data, Augmentation { shear_range: -1.0, ..Augmentation::default() }).is_err());
}

#[test]
fn photographs_where_they_are_there() {
    let Some(root) = std::env::var_os("STRIATE_DATA").map(std::path::PathBuf::from) else {
        println!("skipped: STRIATE_DATA is not set");
        return;
    };
    let folder = root.join("cats_and_dogs_small");
    if !folder.is_dir() {
        println!("skipped: no cats_and_dogs_small in STRIATE_DATA");
        return;
    }
    let context = BatchContext::new(Key::new(0), &device());
    let options =
        || FolderOptions { target_size: (150, 150), class_mode: ClassMode::Binary, ..FolderOptions::default() };
    for (part, count) in [("train", 2000), ("validation", 1000), ("test", 1000)] {
        let data = ImageFolder::open(folder.join(part), options()).unwrap();
        assert_eq!((data.len(), data.class_names().join(" ")), (count, "cats dogs".into()));
        let start = std::time::Instant::now();
        let batch = data.batch(&(0..40).collect::<Vec<_>>(), &context).unwrap();
        assert_eq!(*batch.inputs[0].shape(), Shape::from([40, 150, 150, 3]));
        println!("{part}: 40 decoded in {:?}", start.elapsed());
        let augmentation = Augmentation {
            rotation_range: 40.0,
            width_shift_range: 0.2.into(),
            height_shift_range: 0.2.into(),
            shear_range: 0.2,
            zoom_range: 0.2.into(),
            horizontal_flip: true,
            ..Augmentation::default()
        };
        let augmented = Augmented::new(data, augmentation).unwrap();
        let start = std::time::Instant::now();
        augmented.batch(&(0..40).collect::<Vec<_>>(), &context).unwrap();
        println!("{part}: 40 augmented in {:?}", start.elapsed());
    }
    let photos = root.join("photos");
    if photos.is_dir() {
        let data = ImageFolder::open(&photos, options()).unwrap();
        data.batch(&(0..data.len().min(20)).collect::<Vec<_>>(), &context).unwrap();
    }
}
