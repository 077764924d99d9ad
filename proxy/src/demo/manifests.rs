//! The bundled example, written to a directory of its own with what only a start knows: the demo's certificate and
//! the addresses of its backends.

use std::{
    fs, io,
    net::{IpAddr, Ipv4Addr},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use super::certificate::Made;

/// Hosts that the example serves.
pub const HOSTS: [&str; 2] = ["shop.example.com", "api.example.com"];

const SHOP: &str = include_str!("../../../examples/demo/shop.yaml");
const API: &str = include_str!("../../../examples/demo/api.yaml");

/// What stands in the example for the network of the backends, and for their port.
const NETWORK: (&str, &str) = ("192.0.2.", "127.0.0.");
const PORT: &str = "\n  port: 8080\n";

/// Addresses of the backends: those of the example, on loopback.
pub const BACKENDS: [IpAddr; 4] = [loopback(101), loopback(102), loopback(111), loopback(112)];

const fn loopback(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(127, 0, 0, last))
}

/// A directory that goes when this is dropped.
#[derive(Debug)]
pub struct Directory {
    root: PathBuf,
}

impl Directory {
    /// Writes the example for backends on `port` with certificate `made`. Only this user may look inside.
    pub fn write(made: &Made, port: u16) -> io::Result<Self> {
        let root = std::env::temp_dir().join(format!("postern-demo-{}-{port}", std::process::id()));
        fs::DirBuilder::new().mode(0o700).create(&root)?;
        let directory = Self { root };
        fs::create_dir(directory.manifests())?;
        fs::write(directory.authority(), &made.authority)?;
        for (name, text) in [("shop.yaml", SHOP), ("api.yaml", API)] {
            fs::write(directory.manifests().join(name), at(text, port))?;
        }
        fs::write(directory.manifests().join("certificate.yaml"), secrets(made))?;
        Ok(directory)
    }

    /// What to serve.
    pub fn manifests(&self) -> PathBuf {
        self.root.join("manifests")
    }

    /// What clients must trust.
    pub fn authority(&self) -> PathBuf {
        self.root.join("ca.pem")
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.root
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // Left behind at worst: it is below the directory for temporary files.
        let _left = fs::remove_dir_all(&self.root);
    }
}

fn at(text: &str, port: u16) -> String {
    text.replace(NETWORK.0, NETWORK.1).replace(PORT, &format!("\n  port: {port}\n"))
}

fn secrets(made: &Made) -> String {
    let indent = |pem: &str| pem.trim().replace('\n', "\n    ");
    let secret = |namespace: &str| {
        format!(
            "apiVersion: v1\nkind: Secret\nmetadata:\n  name: demo-tls\n  namespace: {namespace}\ntype: kubernetes.io/tls\n\
             stringData:\n  tls.crt: |\n    {}\n  tls.key: |\n    {}\n",
            indent(&made.certificate),
            indent(&made.key)
        )
    };
    format!("{}---\n{}", secret("shop"), secret("api"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_backend_of_the_example_is_one_of_the_demos_own() {
        let text = at(&format!("{SHOP}{API}"), 4711);
        let addresses: Vec<_> = text.lines().filter(|line| line.contains("addresses:")).collect();
        assert_eq!(addresses.len(), BACKENDS.len());
        for (line, backend) in addresses.iter().zip(["101", "102", "111", "112"]) {
            assert!(line.contains(&format!("\"127.0.0.{backend}\"")), "{line}");
        }
        assert_eq!(text.matches("\n  port: 4711\n").count(), 2);
        for host in HOSTS {
            assert!(text.contains(host), "{host}");
        }
    }

    #[test]
    fn the_directory_goes_with_its_owner() {
        let made = super::super::certificate::make(&HOSTS).expect("a certificate");
        let directory = Directory::write(&made, 1).expect("written");
        let path = directory.path().to_owned();
        assert!(path.join("manifests/certificate.yaml").is_file());
        drop(directory);
        assert!(!path.exists());
    }
}
