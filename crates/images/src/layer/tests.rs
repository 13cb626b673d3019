use std::io::Read;

use flate2::read::GzDecoder;
use proptest::prelude::*;
use rstest::rstest;

use super::*;

fn blob(spec: &Spec) -> (Vec<u8>, Written) {
    let mut blob = Vec::new();
    let written = write(spec, &spec.layers[0], &mut blob).unwrap();
    (blob, written)
}

/// The digest and bytes of what is written here.
fn hashed(bytes: &[u8]) -> (String, u64) {
    let mut hashed = Hashed::new(io::sink());
    hashed.write_all(bytes).unwrap();
    let (_, digest, bytes) = hashed.finish();
    (digest, bytes)
}

fn unpacked(compression: Compression, blob: &[u8]) -> Vec<u8> {
    let mut tar = Vec::new();
    match compression {
        Compression::None => tar.extend_from_slice(blob),
        Compression::Gzip => drop(GzDecoder::new(blob).read_to_end(&mut tar).unwrap()),
        Compression::Zstd => drop(zstd::Decoder::new(blob).unwrap().read_to_end(&mut tar).unwrap()),
    }
    tar
}

fn compressions() -> impl Strategy<Value = Compression> {
    prop_oneof![Just(Compression::None), Just(Compression::Gzip), Just(Compression::Zstd)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_blob_is_what_its_digests_and_sizes_say(
        seed: u64, bytes in 0..200_000_u64, percent in 0..=100_u8, compression in compressions(),
    ) {
        let spec = Spec::of_sizes(seed, &[bytes]).random(percent).compressed(compression);
        let (blob, written) = blob(&spec);
        prop_assert_eq!((written.digest, written.bytes), hashed(&blob));
        let tar = unpacked(compression, &blob);
        prop_assert_eq!(written.diff_id, hashed(&tar).0);
        // A header, whole blocks of content, and two empty ones.
        prop_assert_eq!(tar.len() as u64, 512 + bytes.next_multiple_of(512) + 1024);
        let mut archive = tar::Archive::new(tar.as_slice());
        let sizes: Vec<_> = archive.entries().unwrap().map(|entry| entry.unwrap().size()).collect();
        prop_assert_eq!(sizes, vec![bytes]);
    }

    #[test]
    fn compression_takes_away_what_is_not_random(percent in 0..=100_u8, compression in compressions()) {
        let bytes = 1_000_000;
        let spec = Spec::of_sizes(3, &[bytes]).random(percent).compressed(compression);
        let share = match compression {
            Compression::None => 1.0,
            Compression::Gzip | Compression::Zstd => f64::from(percent) / 100.0,
        };
        let off = blob(&spec).1.bytes as f64 / bytes as f64 - share;
        prop_assert!((-0.001..0.03).contains(&off), "{off} more than {share}");
    }
}

/// A changed digest means that every image of every record is another one. Compare them on another machine, or with a
/// new version of a compressor.
#[rstest]
#[case(Compression::None, "sha256:e53121ab7bac16e24a09ffd633d1fed77e8cfed81e821b829210b3da00c9cb9b")]
#[case(Compression::Gzip, "sha256:0d07b38832a0ed7e91e46957159b38def5b6df5259f05b766ab2f9eeb0ff1abe")]
#[case(Compression::Zstd, "sha256:e94dfb063edbe6bb1a59be1db9476e6189b5cd5a0a6db355df234938fd34fa7b")]
fn the_digests_of_a_seed_are_known(#[case] compression: Compression, #[case] digest: &str) {
    let spec = Spec::of_sizes(1, &[1_000_003]).random(50).compressed(compression);
    assert_eq!(blob(&spec).1.digest, digest);
}

#[test]
fn files_are_of_no_machine_and_of_no_time() {
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("program");
    fs::write(&program, "#!/bin/sh\n").unwrap();
    let file = |path: &str, source| File { path: path.into(), source };
    let deep = format!("{}/file", "d".repeat(120));
    let files = vec![
        file("bin/program", Source::Program(program)),
        file("bin/link", Source::Link("program".into())),
        file(&deep, Source::Content(b"text".to_vec())),
    ];
    let spec = Spec::of_sizes(1, &[]).over(files, &["/bin/program"]).compressed(Compression::None);
    let (blob, _) = blob(&spec);
    let mut archive = tar::Archive::new(blob.as_slice());
    let shown = archive.entries().unwrap().map(|entry| {
        let entry = entry.unwrap();
        let header = entry.header();
        assert_eq!((header.uid().unwrap(), header.gid().unwrap(), header.mtime().unwrap()), (0, 0, 0));
        let link = entry.link_name().unwrap().map(|target| target.display().to_string());
        (entry.path().unwrap().display().to_string(), header.mode().unwrap(), link)
    });
    let wanted = [
        ("bin/program".to_owned(), 0o755, None),
        ("bin/link".to_owned(), 0o777, Some("program".to_owned())),
        (deep, 0o644, None),
    ];
    assert_eq!(shown.collect::<Vec<_>>(), wanted);
}
