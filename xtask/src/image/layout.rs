//! The files of an image: layer, configuration, manifest and index, as the OCI image specification 1.1 has them, in a tar
//! that `ctr images import`, `podman load` and `skopeo` read. Nothing of the machine or the moment goes in.

use std::{
    collections::BTreeMap,
    io::{self, Write as _},
};

use flate2::{Compression, GzBuilder};
use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// What an image runs on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Platform {
    pub(super) architecture: &'static str,
}

/// A file of an image, whose owner is root.
pub(super) struct File {
    /// Without a slash before it.
    pub(super) path: &'static str,
    pub(super) mode: u32,
    pub(super) bytes: Vec<u8>,
}

/// An image in the making.
pub(super) struct Layout {
    created: Timestamp,
    labels: Vec<(&'static str, String)>,
    blobs: BTreeMap<String, Vec<u8>>,
    manifests: Vec<Value>,
}

impl Layout {
    /// One without a platform yet; `created` is the time of all files.
    pub(super) fn new(created: Timestamp, labels: Vec<(&'static str, String)>) -> Self {
        Self { created, labels, blobs: BTreeMap::new(), manifests: Vec::new() }
    }

    /// Adds what is to run on `platform`.
    pub(super) fn add(&mut self, platform: Platform, files: &[File]) -> io::Result<()> {
        let tar = self.layer(files)?;
        let mut gzip = GzBuilder::new().mtime(0).write(Vec::new(), Compression::best());
        gzip.write_all(&tar)?;
        let layer = self.blob(LAYER, gzip.finish()?);
        let labels: BTreeMap<_, _> = self.labels.iter().cloned().collect();
        let config = json!({
            "architecture": platform.architecture,
            "os": "linux",
            "created": self.created.to_string(),
            "config": {"User": "0", "Entrypoint": ["/postern"], "Cmd": ["--help"], "Labels": labels},
            "rootfs": {"type": "layers", "diff_ids": [digest(&tar)]},
            "history": [{"created": self.created.to_string(), "created_by": "cargo xtask image"}],
        });
        let config = self.blob(CONFIG, config.to_string().into_bytes());
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": config,
            "layers": [layer],
            "annotations": labels,
        });
        let mut manifest = self.blob(MANIFEST, manifest.to_string().into_bytes());
        manifest["platform"] = json!({"architecture": platform.architecture, "os": "linux"});
        self.manifests.push(manifest);
        Ok(())
    }

    /// The tar, in which the image has these names.
    pub(super) fn finish(mut self, names: &[String]) -> io::Result<Vec<u8>> {
        let image = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": self.manifests});
        let image = self.blob(INDEX, image.to_string().into_bytes());
        let named = names.iter().map(|name| {
            let mut image = image.clone();
            image["annotations"] = json!({"io.containerd.image.name": name, "org.opencontainers.image.ref.name": name});
            image
        });
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": named.collect::<Vec<_>>()});
        let mut tar = self.tar();
        tar.file("oci-layout", 0o644, br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        tar.file("index.json", 0o644, index.to_string().as_bytes())?;
        for (digest, blob) in &self.blobs {
            tar.file(&format!("blobs/{}", digest.replace(':', "/")), 0o644, blob)?;
        }
        tar.finish()
    }

    fn layer(&self, files: &[File]) -> io::Result<Vec<u8>> {
        let mut tar = self.tar();
        let folders = files.iter().filter_map(|file| file.path.rsplit_once('/').map(|(folder, _)| folder));
        let folders: std::collections::BTreeSet<_> = folders.collect();
        for folder in folders {
            tar.folder(folder, 0o755)?;
        }
        // Where the root may be written, as `demo` wants it.
        tar.folder("tmp", 0o1777)?;
        for File { path, mode, bytes } in files {
            tar.file(path, *mode, bytes)?;
        }
        tar.finish()
    }

    fn tar(&self) -> Tar {
        Tar { created: self.created, builder: tar::Builder::new(Vec::new()) }
    }

    /// Keeps a blob; returns what refers to it.
    fn blob(&mut self, media_type: &str, bytes: Vec<u8>) -> Value {
        let digest = digest(&bytes);
        let descriptor = json!({"mediaType": media_type, "digest": digest, "size": bytes.len()});
        self.blobs.insert(digest, bytes);
        descriptor
    }
}

struct Tar {
    created: Timestamp,
    builder: tar::Builder<Vec<u8>>,
}

impl Tar {
    fn file(&mut self, path: &str, mode: u32, bytes: &[u8]) -> io::Result<()> {
        self.entry(path, mode, tar::EntryType::Regular, bytes)
    }

    fn folder(&mut self, path: &str, mode: u32) -> io::Result<()> {
        self.entry(&format!("{path}/"), mode, tar::EntryType::Directory, &[])
    }

    fn entry(&mut self, path: &str, mode: u32, kind: tar::EntryType, bytes: &[u8]) -> io::Result<()> {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(self.created.as_second().unsigned_abs());
        header.set_size(bytes.len() as u64);
        self.builder.append_data(&mut header, path, bytes)
    }

    fn finish(self) -> io::Result<Vec<u8>> {
        self.builder.into_inner()
    }
}

fn digest(bytes: &[u8]) -> String {
    let hex = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    format!("sha256:{hex}")
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn image(architectures: &[&'static str]) -> Vec<u8> {
        let mut layout = Layout::new(Timestamp::UNIX_EPOCH, vec![("a", "b".to_owned())]);
        for architecture in architectures {
            let file = |path, mode, text: &str| File { path, mode, bytes: text.as_bytes().to_vec() };
            let files = [file("licenses/LICENSE", 0o644, "text"), file("postern", 0o755, architecture)];
            layout.add(Platform { architecture }, &files).expect("memory");
        }
        layout.finish(&["localhost/postern:1".to_owned()]).expect("memory")
    }

    fn files(image: &[u8]) -> BTreeMap<String, Vec<u8>> {
        let mut archive = tar::Archive::new(image);
        let read = |entry: io::Result<tar::Entry<'_, &[u8]>>| {
            let mut entry = entry.expect("an entry");
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).expect("memory");
            (entry.path().expect("a path").display().to_string(), bytes)
        };
        archive.entries().expect("a tar").map(read).collect()
    }

    fn blob<'a>(files: &'a BTreeMap<String, Vec<u8>>, descriptor: &Value) -> &'a [u8] {
        let digest = descriptor["digest"].as_str().expect("a digest");
        let bytes = files.get(&format!("blobs/{}", digest.replace(':', "/"))).expect("a blob");
        assert_eq!(
            (bytes.len() as u64, super::digest(bytes)),
            (descriptor["size"].as_u64().expect("a size"), digest.into())
        );
        bytes
    }

    fn json_blob(files: &BTreeMap<String, Vec<u8>>, descriptor: &Value) -> Value {
        serde_json::from_slice(blob(files, descriptor)).expect("JSON")
    }

    #[test]
    fn the_same_files_give_the_same_image() {
        assert_eq!(image(&["amd64", "arm64"]), image(&["amd64", "arm64"]));
        assert_ne!(image(&["amd64"]), image(&["arm64"]));
    }

    #[test]
    fn every_descriptor_leads_to_its_blob_and_the_layer_is_what_the_configuration_says() {
        let files = files(&image(&["amd64", "arm64"]));
        let index: Value = serde_json::from_slice(&files["index.json"]).expect("JSON");
        assert_eq!(index["manifests"][0]["annotations"]["io.containerd.image.name"], "localhost/postern:1");
        let image = json_blob(&files, &index["manifests"][0]);
        for (descriptor, architecture) in image["manifests"].as_array().expect("a list").iter().zip(["amd64", "arm64"])
        {
            assert_eq!(descriptor["platform"]["architecture"], architecture);
            let manifest = json_blob(&files, descriptor);
            let config = json_blob(&files, &manifest["config"]);
            assert_eq!((&config["architecture"], &config["config"]["User"]), (&json!(architecture), &json!("0")));
            let mut layer = Vec::new();
            let gzip = blob(&files, &manifest["layers"][0]);
            flate2::read::GzDecoder::new(gzip).read_to_end(&mut layer).expect("gzip");
            assert_eq!(config["rootfs"]["diff_ids"], json!([digest(&layer)]));
            let names: Vec<String> = self::files(&layer).into_keys().collect();
            assert_eq!(names, ["licenses/", "licenses/LICENSE", "postern", "tmp/"]);
        }
    }
}
