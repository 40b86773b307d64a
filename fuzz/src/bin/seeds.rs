//! Writes the first inputs of a target: `seeds codec|sessions FOLDER CASES...`, the cases being XML files or folders of them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a tool for tests")]

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use fuzz::seeds;

fn main() {
    let mut given = env::args().skip(1);
    let usage = "seeds codec|sessions FOLDER CASES...";
    let target = given.next().unwrap_or_else(|| panic!("{usage}"));
    let folder = PathBuf::from(given.next().unwrap_or_else(|| panic!("{usage}")));
    let of = match target.as_str() {
        "codec" => seeds::of_codec,
        "sessions" => seeds::of_sessions,
        _ => panic!("{usage}"),
    };
    fs::create_dir_all(&folder).unwrap();
    let mut count = 0;
    for file in given.flat_map(|cases| files(Path::new(&cases))) {
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        for (name, bytes) in of(&name, &fs::read_to_string(&file).unwrap()) {
            fs::write(folder.join(name), bytes).unwrap();
            count += 1;
        }
    }
    assert!(count > 0, "there are no cases");
    println!("{target}: {count} inputs");
}

fn files(cases: &Path) -> Vec<PathBuf> {
    let Ok(folder) = fs::read_dir(cases) else { return vec![cases.to_owned()] };
    let mut files: Vec<PathBuf> = folder.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "xml"));
    files.sort();
    files
}
