//! Developer commands, as [`USAGE`] lists them. Each prints what it does, and says so when it cannot.
//!
//! Deliberately with few dependencies, so that the first `cargo xtask` on a fresh machine starts within seconds.

mod bench;
mod child;
mod conformance;
mod crds;
mod dist;
mod e2e;
mod fuzz;
mod image;
mod kube;
mod manifests;
mod step;
mod test;
mod tools;
mod workspace;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask test [STEP...]       every check that CI runs, fast ones first; STEP names pick some
       cargo xtask bench [--untrained] [QUESTION...]
                                        compare with the peers; flags such as --rounds N are passed on
       cargo xtask dist                 build the binary that is shipped, and print its path
       cargo xtask image [--arch amd64|arm64|all] [--profile dev|release|dist] [--name NAME:TAG]... --out FILE
                                        the container image, as a tar that `ctr images import` takes
       cargo xtask manifests            make the plain manifests and CRDs of deploy/ anew
       cargo xtask fuzz SECONDS [TARGET...]
                                        fuzz each target that long
       cargo xtask conformance [--all] [FLAG...]
                                        the Gateway API suite against the built binary, on a cluster of one node
       cargo xtask e2e [--image TAR] [SCENARIO...]
                                        image and chart on a cluster of three nodes, beside a real Traefik (root);
                                        TAR is an image named localhost/postern:e2e that was made before
       cargo xtask vip [FILTER]         virtual addresses through power cuts, partitions and more between namespaces (root)
       cargo xtask kube up DIR [--port N] | down DIR
                                        an API server and etcd on loopback, with their state in DIR
       cargo xtask cluster up DIR [--nodes N] [--port N] | down DIR
                                        a whole cluster, its nodes as network namespaces (root); down removes DIR
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((command, rest)) = arguments.split_first() else { return usage() };
    let result = match command.as_str() {
        "test" => test::run(rest),
        "bench" => bench::run(rest),
        "dist" => dist::run(),
        "image" => image::run(rest),
        "manifests" => manifests::run(rest),
        "fuzz" => fuzz::run(rest),
        "conformance" => conformance::run(rest),
        "e2e" => e2e::run(rest),
        "vip" => test::vip(rest),
        "kube" => kube::kube(rest),
        "cluster" => kube::cluster(rest),
        _ => return usage(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("xtask: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn usage() -> ExitCode {
    eprint!("{USAGE}");
    ExitCode::from(2)
}
