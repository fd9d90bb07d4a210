//! Pictures that a table lists, and files of unusual kinds.

use image::codecs::gif::GifEncoder;
use image::{Delay, Frame, ImageBuffer, Luma, Rgb, RgbImage, Rgba, RgbaImage};
use std::fs;
use std::path::Path;
use striate_data::image_file::{Colour, read};
use striate_data::{BatchContext, ClassMode, Dataset, FolderOptions, ImageFolder};
use striate_tensor::{Error, Key};
use tempfile::TempDir;

fn small() -> FolderOptions {
    FolderOptions { target_size: (4, 4), ..FolderOptions::default() }
}

fn plain(path: &Path, shade: u8) {
    RgbImage::from_pixel(6, 5, Rgb([shade; 3])).save(path).unwrap();
}

fn refused(result: Result<ImageFolder, Error>, words: &[&str]) {
    let text = result.unwrap_err().to_string();
    assert!(words.iter().all(|word| text.contains(word)), "{text}");
}

#[test]
fn a_table_says_which_pictures_and_classes() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("deep")).unwrap();
    for (name, shade) in [("a.png", 10), ("deep/b.png", 20), ("c.png", 30)] {
        plain(&folder.path().join(name), shade);
    }
    let table = folder.path().join("index.csv");
    fs::write(&table, "label,file\ndog,a.png\ncat,deep/b.png\ndog,c.png\nbird,missing.png\n").unwrap();
    let open = |options| ImageFolder::from_csv(&table, folder.path(), "file", "label", options);
    refused(open(small()), &["1 bad of 4", "missing.png", "no such file"]);
    let skip = FolderOptions { skip_bad: true, ..small() };
    refused(open(skip.clone()), &["bird", "bad files only"]);
    let two = FolderOptions { classes: vec!["dog".into(), "cat".into()], class_mode: ClassMode::Binary, ..small() };
    let data = open(two).unwrap();
    assert_eq!((data.len(), data.label(0), data.label(1)), (3, Some(0), Some(1)));
    let batch = data.batch(&[1, 2], &BatchContext::new(Key::new(0), &striate_testkit::reference::device())).unwrap();
    assert_eq!(batch.targets[0].to_vec::<f32>().unwrap(), [1.0, 0.0]);
    assert_eq!(batch.inputs[0].to_vec::<f32>().unwrap()[47], 20.0);
    let none = FolderOptions { class_mode: ClassMode::None, skip_bad: true, ..small() };
    let data = open(none).unwrap();
    assert_eq!((data.len(), data.skipped().len(), data.class_names().len()), (3, 1, 0));
    refused(ImageFolder::from_csv(&table, folder.path(), "path", "label", small()), &["a column path"]);
    refused(open(FolderOptions { classes: vec!["dog".into(), "cow".into()], ..small() }), &["cow"]);
    fs::write(&table, "label,file\ncat,a.png\n").unwrap();
    refused(open(small()), &["at least two classes", "only cat"]);
}

/// A folder with one good picture of each of two classes.
fn two_classes() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for class in ["one", "two"] {
        fs::create_dir(folder.path().join(class)).unwrap();
        plain(&folder.path().join(class).join("good.png"), 50);
    }
    folder
}

#[test]
fn deep_transparent_and_moving_pictures_are_read() {
    let folder = two_classes();
    let path = |name: &str| folder.path().join("one").join(name);
    ImageBuffer::<Rgb<u16>, _>::from_pixel(3, 2, Rgb([0x8000u16, 0, 0xFFFF])).save(path("deep.png")).unwrap();
    ImageBuffer::<Luma<u16>, _>::from_pixel(3, 2, Luma([0x4000u16])).save(path("grey.png")).unwrap();
    RgbaImage::from_pixel(3, 2, Rgba([9, 8, 7, 0])).save(path("clear.png")).unwrap();
    let frames = [10u8, 200].map(|shade| {
        Frame::from_parts(
            RgbaImage::from_pixel(3, 2, Rgba([shade, shade, shade, 255])),
            0,
            0,
            Delay::from_numer_denom_ms(50, 1),
        )
    });
    let mut gif = GifEncoder::new(fs::File::create(path("moving.gif")).unwrap());
    gif.encode_frames(frames).unwrap();
    drop(gif);
    for (name, pixel) in
        [("deep.png", [128, 0, 255]), ("grey.png", [64; 3]), ("clear.png", [9, 8, 7]), ("moving.gif", [10; 3])]
    {
        assert_eq!(read(path(name), Colour::Rgb).unwrap().bytes()[..3], pixel, "{name}");
    }
    assert_eq!(read(path("clear.png"), Colour::Rgba).unwrap().bytes()[..4], [9, 8, 7, 0]);
    assert_eq!(read(path("grey.png"), Colour::Rgba).unwrap().bytes()[..4], [64, 64, 64, 255]);
    let data = ImageFolder::open(folder.path(), FolderOptions { colour: Colour::Rgba, ..small() }).unwrap();
    let context = BatchContext::new(Key::new(0), &striate_testkit::reference::device());
    let batch = data.batch(&(0..6).collect::<Vec<_>>(), &context).unwrap();
    assert_eq!(*batch.inputs[0].shape(), [6, 4, 4, 4].into());
}

/// A BMP header that claims a size and has no pixels.
fn bitmap(width: i32, height: i32) -> Vec<u8> {
    let mut bytes = b"BM".to_vec();
    bytes.extend([54u32, 0, 54, 40].map(u32::to_le_bytes).concat());
    bytes.extend([width, height].map(i32::to_le_bytes).concat());
    bytes.extend([1u16, 24].map(u16::to_le_bytes).concat());
    bytes.extend([0u8; 24]);
    bytes
}

#[test]
fn bad_files_of_every_kind_are_named_before_anything_is_decoded() {
    let folder = two_classes();
    let path = |name: &str| folder.path().join("two").join(name);
    fs::write(path("enormous.bmp"), bitmap(60_000, 60_000)).unwrap();
    fs::write(path("flat.bmp"), bitmap(0, 5)).unwrap();
    fs::write(path("text.webp"), "no picture").unwrap();
    fs::write(path("void.gif"), "").unwrap();
    let mut words = vec!["enormous.bmp", "at most", "flat.bmp", "text.webp", "void.gif", "empty file"];
    // A link to nowhere is listed by its name, but there is nothing to be read.
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(path("nowhere"), path("link.png")).unwrap();
        assert!(!path("link.png").exists());
    }
    words.push("4 bad of 6");
    refused(ImageFolder::open(folder.path(), small()), &words);
    let data = ImageFolder::open(folder.path(), FolderOptions { skip_bad: true, ..small() }).unwrap();
    assert_eq!((data.len(), data.skipped().len()), (2, 4));
}

#[cfg(unix)]
#[test]
fn an_unreadable_file_is_named() {
    use std::os::unix::fs::PermissionsExt;
    let folder = two_classes();
    let path = folder.path().join("one/locked.png");
    plain(&path, 9);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::read(&path).is_ok() {
        eprintln!("skipped: this user may read everything");
        return;
    }
    refused(ImageFolder::open(folder.path(), small()), &["locked.png", "cannot be read"]);
    let data = ImageFolder::open(folder.path(), FolderOptions { skip_bad: true, ..small() }).unwrap();
    assert_eq!((data.len(), data.skipped().len()), (2, 1));
}
