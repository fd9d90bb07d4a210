//! Heat maps of photographs: the published MobileNet on the animals of `animals.txt`. The photographs and weights lie outside of the
//! repository; their folder is named by `STRIATE_DATA`.

use std::path::PathBuf;
use striate_cpu::{CpuBackend, CpuOptions};
use striate_data::image_file::read;
use striate_tensor::{Device, Tensor};
use striate_viz::heat::{
    CamMethod, ScoreCam, cam, default_cam_layer, deletion_insertion, randomisation, score_cam, top_class,
};
use striate_viz::{Plane, Subject};

struct Photo {
    name: String,
    input: Tensor,
    class: usize,
    /// Left, top, right, bottom as parts of the picture.
    boxes: Vec<[f64; 4]>,
}

impl Photo {
    /// Whether the map's largest number lies in a box.
    fn has(&self, map: &Plane) -> bool {
        let (row, column) = map.peak();
        let (x, y) = ((column as f64 + 0.5) / map.width() as f64, (row as f64 + 0.5) / map.height() as f64);
        self.boxes.iter().any(|&[left, top, right, bottom]| (left..=right).contains(&x) && (top..=bottom).contains(&y))
    }
}

/// MobileNet and the twenty photographs, if they are there.
fn animals() -> Option<(Subject, String, Vec<Photo>)> {
    let data = std::env::var_os("STRIATE_DATA").map(PathBuf::from).filter(|data| data.join("photos").is_dir());
    let Some(data) = data else {
        eprintln!("skipped: STRIATE_DATA names no folder with photos/ and weights/");
        return None;
    };
    let device = Device::new(CpuBackend::new(CpuOptions::default()).unwrap());
    let subject = Subject::open("mobilenet", true, Some(&data), &device).unwrap();
    let layer = default_cam_layer(&subject.model).unwrap();
    assert_eq!(layer.output.to_vec(), [7, 7, 1024]);
    let lines = include_str!("animals.txt").lines().filter(|line| !line.starts_with('#'));
    let photos = lines.map(|line| {
        let (name, numbers) = line.split_once(' ').unwrap();
        let numbers: Vec<f64> = numbers.split(' ').map(|number| number.parse::<f64>().unwrap() / 100.0).collect();
        let picture = read(data.join("photos").join(name), subject.colour()).unwrap();
        let input = subject.input(&picture).unwrap();
        let class = top_class(&subject, &input).unwrap().0;
        Photo { name: name.to_string(), input, class, boxes: numbers.as_chunks::<4>().0.to_vec() }
    });
    let photos: Vec<Photo> = photos.collect();
    assert_eq!(photos.len(), 20);
    Some((subject, layer.path, photos))
}

#[test]
fn maps_are_hottest_on_the_animal() {
    let Some((subject, layer, photos)) = animals() else { return };
    for method in [CamMethod::GradCam, CamMethod::GradCamPlusPlus, CamMethod::HiResCam, CamMethod::LayerCam] {
        let missed: Vec<&str> = photos
            .iter()
            .filter(|photo| !photo.has(&cam(&subject.model, &photo.input, photo.class, &layer, method).unwrap()))
            .map(|photo| photo.name.as_str())
            .collect();
        eprintln!("{method:?}: {} of 20, not {missed:?}", 20 - missed.len());
        assert!(missed.len() <= 3, "{method:?} {missed:?}");
    }
    let options = ScoreCam { channels: 16, batch: 16 };
    let first = &photos[1];
    assert!(first.has(&score_cam(&subject, &first.input, first.class, &layer, options).unwrap()));
}

#[test]
fn maps_depend_on_what_was_learnt_and_name_what_matters() {
    let Some((subject, layer, photos)) = animals() else { return };
    let mut similarities = Vec::new();
    let mut deletions = 0;
    for photo in &photos[..10] {
        let explain = |subject: &Subject| cam(&subject.model, &photo.input, photo.class, &layer, CamMethod::GradCam);
        let map = explain(&subject).unwrap();
        let random = randomisation(&subject, &map, 2, explain).unwrap();
        eprintln!("{}: {:?}", photo.name, random.similarities);
        similarities.push(random.similarity());
        if photo.name.contains("cat.1") {
            deletions += usize::from(deletion_insertion(&subject, &photo.input, photo.class, &map).unwrap().passes());
        }
    }
    assert!(similarities.iter().filter(|similarity| **similarity < 0.5).count() >= 9, "{similarities:?}");
    let mean = similarities.iter().sum::<f64>() / similarities.len() as f64;
    assert!(mean < 0.3, "{mean} of {similarities:?}");
    assert!(deletions >= 5, "{deletions}");
}
