//! The command line as it was typed. What it means for the settings is [`Serve::said`].

use std::{net::IpAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::settings::{Said, document::Value};

/// A gate in front of a cluster: serves what its objects ask for.
#[derive(Debug, Parser)]
#[command(name = "postern", version, max_term_width = 100)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve a bundled example with built-in backends, all on loopback
    Demo(Demo),
    /// Serve what manifests ask for
    Serve(Box<Serve>),
    /// Say of each object whether it would be served, and what is wrong with it
    Check(Check),
    /// Say which route a request would take, and why no other
    Explain(Box<Explain>),
    /// Say who owns each virtual address, and why nobody else does
    Vip(Vip),
    /// Say what replacing the products of a cluster takes
    Takeover(TakeoverArguments),
    /// Say what would break on this node where Postern serves on it
    Doctor(Doctor),
    /// Remove what Postern leaves behind
    Cleanup(Cleanup),
    /// Print or install the CRDs that Postern brings along
    Crds(Crds),
    /// Ask the Postern beside this one how it is: exit code 0 for well, and 1
    Probe(Probe),
}

/// `postern demo`.
#[derive(Debug, Args)]
pub struct Demo {
    /// Where health, metrics and the API answer; by default 127.0.0.1:9000, or any free port
    #[arg(long, env = "POSTERN_ADMIN_ADDRESS", value_name = "ADDRESS:PORT")]
    pub admin: Option<String>,
}

/// `postern serve`.
#[derive(Debug, Default, Args)]
pub struct Serve {
    /// Kubernetes YAML and JSON, read with all directories below and again whenever a file changes
    #[arg(long, env = "POSTERN_MANIFESTS", value_name = "DIR")]
    pub manifests: Option<PathBuf>,
    /// Watch the cluster that this runs in, or that KUBECONFIG names
    #[arg(long, env = "POSTERN_KUBERNETES")]
    pub kubernetes: bool,
    /// Settings; docs/reference/settings.md lists all
    #[arg(long, env = "POSTERN_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// What this process does: serve, announce, control; by default all
    #[arg(long, env = "POSTERN_ROLES", value_name = "ROLE", value_delimiter = ',')]
    pub roles: Option<Vec<String>>,
    /// Address that listeners without an address of their own bind
    #[arg(long, env = "POSTERN_BIND", value_name = "ADDRESS", value_delimiter = ',')]
    pub bind: Vec<String>,
    /// A public address = the address of a node that it is delivered to
    #[arg(long, env = "POSTERN_ADDRESS_MAP", value_name = "PUBLIC=PRIVATE", value_delimiter = ',')]
    pub address_map: Vec<String>,
    /// The port in objects = the port that is bound
    #[arg(long, env = "POSTERN_MAP_PORT", value_name = "FROM=TO", value_delimiter = ',')]
    pub map_port: Vec<String>,
    /// Where health, metrics and the API answer, or off
    #[arg(long, env = "POSTERN_ADMIN_ADDRESS", value_name = "ADDRESS:PORT")]
    pub admin: Option<String>,
    /// Path of a Unix socket where the same answer, or off
    #[arg(long, env = "POSTERN_ADMIN_SOCKET", value_name = "PATH")]
    pub admin_socket: Option<String>,
    /// Threads that serve
    #[arg(long, env = "POSTERN_WORKERS", value_name = "N")]
    pub workers: Option<String>,
    /// This node's name among nodes that share addresses; by default the host's
    #[arg(long, env = "POSTERN_NODE", value_name = "NAME")]
    pub node: Option<String>,
}

/// `postern vip`.
#[derive(Debug, Args)]
pub struct Vip {
    /// Ask this Postern; by default the one at the socket, or http://127.0.0.1:9000
    #[arg(long, env = "POSTERN_ADMIN_URL", value_name = "URL", global = true)]
    pub admin: Option<String>,
    /// The socket of the Postern that is asked: its setting admin.socket
    #[arg(long, env = "POSTERN_ADMIN_SOCKET", value_name = "PATH", global = true)]
    pub socket: Option<PathBuf>,
    /// How the answer is written
    #[arg(long, env = "POSTERN_OUTPUT", value_enum, default_value_t)]
    pub output: Output,
    /// What to change
    #[command(subcommand)]
    pub command: Option<VipCommand>,
}

/// What to change about virtual addresses.
#[derive(Debug, Subcommand)]
pub enum VipCommand {
    /// Give away what this node owns, and take nothing
    Drain,
    /// Take part again
    Undrain,
    /// Move addresses to where they would be, had all nodes been there from the start
    Rebalance,
}

/// `postern takeover`.
#[derive(Debug, Args)]
pub struct TakeoverArguments {
    /// What to say
    #[command(subcommand)]
    pub command: TakeoverCommand,
}

/// What to say.
#[derive(Debug, Subcommand)]
pub enum TakeoverCommand {
    /// The order of steps, the outage, the way back, and what differs; reads only
    Plan(TakeoverPlan),
}

/// `postern takeover plan`.
#[derive(Debug, Args)]
pub struct TakeoverPlan {
    /// Settings that the objects are judged by
    #[arg(long, env = "POSTERN_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// How the answer is written
    #[arg(long, env = "POSTERN_OUTPUT", value_enum, default_value_t)]
    pub output: Output,
}

/// `postern doctor`.
#[derive(Debug, Args)]
pub struct Doctor {
    /// This node's name in the cluster; without it, pods of all nodes are looked at
    #[arg(long, env = "POSTERN_NODE", value_name = "NAME")]
    pub node: Option<String>,
    /// Settings that say which ports are bound
    #[arg(long, env = "POSTERN_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// How the answer is written
    #[arg(long, env = "POSTERN_OUTPUT", value_enum, default_value_t)]
    pub output: Output,
}

/// `postern cleanup`.
#[derive(Debug, Args)]
pub struct Cleanup {
    /// Remove what is ours in the cluster too: Lease, peer key, EndpointSlices, parts of status
    #[arg(long, env = "POSTERN_CLEANUP_CLUSTER")]
    pub cluster: bool,
    /// The namespace that Postern was installed in, if not the service account's or the context's
    #[arg(long, env = "POSTERN_CLEANUP_NAMESPACE", value_name = "NAME")]
    pub namespace: Option<String>,
    /// Only say what would be removed
    #[arg(long, env = "POSTERN_DRY_RUN")]
    pub dry_run: bool,
    /// Settings that say where objects are kept
    #[arg(long, env = "POSTERN_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// `postern crds`.
#[derive(Debug, Args)]
pub struct Crds {
    /// What to do with them
    #[command(subcommand)]
    pub command: CrdsCommand,
}

/// What to do with CRDs.
#[derive(Debug, Subcommand)]
pub enum CrdsCommand {
    /// Install those that the cluster lacks; what others have installed is never touched
    Install(CrdsInstall),
    /// Print them as YAML
    Print(CrdsPrint),
}

/// `postern crds install`.
#[derive(Debug, Args)]
pub struct CrdsInstall {
    /// gateway-api, traefik, metallb; by default all
    #[arg(value_name = "SET")]
    pub sets: Vec<String>,
    /// Only say what would be done
    #[arg(long, env = "POSTERN_DRY_RUN")]
    pub dry_run: bool,
}

/// `postern crds print`.
#[derive(Debug, Args)]
pub struct CrdsPrint {
    /// gateway-api, traefik, metallb; by default all
    #[arg(value_name = "SET")]
    pub sets: Vec<String>,
}

/// `postern check`.
#[derive(Debug, Args)]
pub struct Check {
    /// Directory of manifests
    #[arg(env = "POSTERN_MANIFESTS", value_name = "DIR")]
    pub directory: PathBuf,
    /// Settings that the objects are judged by
    #[arg(long, env = "POSTERN_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// How the answer is written
    #[arg(long, env = "POSTERN_OUTPUT", value_enum, default_value_t)]
    pub output: Output,
}

/// `postern explain`.
#[derive(Debug, Args)]
pub struct Explain {
    /// Explain these manifests
    #[arg(long, env = "POSTERN_MANIFESTS", value_name = "DIR", conflicts_with = "admin")]
    pub manifests: Option<PathBuf>,
    /// Ask a running Postern; by default http://127.0.0.1:9000
    #[arg(long, env = "POSTERN_ADMIN_URL", value_name = "URL")]
    pub admin: Option<String>,
    /// Settings that the manifests are judged by
    #[arg(long, env = "POSTERN_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Method of the request
    #[arg(short = 'X', long, env = "POSTERN_METHOD", value_name = "METHOD", default_value = "GET")]
    pub method: String,
    /// Header field of the request
    #[arg(short = 'H', long = "header", env = "POSTERN_HEADER", value_name = "NAME: VALUE")]
    pub headers: Vec<String>,
    /// Address of the client
    #[arg(long, env = "POSTERN_FROM", value_name = "ADDRESS", default_value = "127.0.0.1")]
    pub from: IpAddr,
    /// What is asked for, for example `https://shop.example.com/cart?x=1`
    #[arg(value_name = "URL")]
    pub url: String,
    /// How the answer is written
    #[arg(long, env = "POSTERN_OUTPUT", value_enum, default_value_t)]
    pub output: Output,
}

/// `postern probe`.
#[derive(Debug, Args)]
pub struct Probe {
    /// What to ask
    #[arg(value_enum)]
    pub question: Health,
    /// The socket of the Postern that is asked: its setting admin.socket
    #[arg(long, env = "POSTERN_ADMIN_SOCKET", value_name = "PATH")]
    pub socket: PathBuf,
}

/// What a probe asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Health {
    /// Whether traffic may come.
    Ready,
    /// Whether the process answers.
    Live,
}

/// How an answer is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    #[default]
    Text,
    /// For machines.
    Json,
}

impl Serve {
    /// What these flags and `variables` say about the settings.
    pub fn said(&self, variables: Vec<(String, String)>) -> Said {
        let text = |value: &Option<String>| value.clone().map(Value::Text);
        let list = |values: &Vec<String>| (!values.is_empty()).then(|| Value::List(values.clone()));
        let manifests = self.manifests.as_ref().map(|path| Value::Text(path.to_string_lossy().into_owned()));
        let flags = [
            ("manifests", "manifests", manifests),
            ("kubernetes", "kubernetes.watch", self.kubernetes.then(|| Value::Text("true".to_owned()))),
            ("roles", "roles", self.roles.clone().map(Value::List)),
            ("bind", "bind", list(&self.bind)),
            ("address-map", "addressMap", list(&self.address_map)),
            ("map-port", "mapPort", list(&self.map_port)),
            ("admin", "admin.address", text(&self.admin)),
            ("admin-socket", "admin.socket", text(&self.admin_socket)),
            ("workers", "workers", text(&self.workers)),
            ("node", "node", text(&self.node)),
        ];
        let flags = flags.into_iter().filter_map(|(flag, key, value)| Some((flag, key, value?))).collect();
        Said { file: self.config.clone(), variables, flags }
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, error::ErrorKind};

    use super::*;
    use crate::settings::{Settings, resolve};

    fn parse(line: &str) -> Result<Arguments, clap::Error> {
        Arguments::try_parse_from(line.split_whitespace())
    }

    #[test]
    fn the_definition_holds_together() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_command_of_the_design_is_taken() {
        for line in [
            "postern demo",
            "postern serve --manifests d --kubernetes --config p.yaml --bind 127.0.0.1 --map-port 80=8080 --map-port 443=8443 --admin 127.0.0.1:9000 --workers 2 --node a",
            "postern check d --output json",
            "postern explain --manifests d -X POST -H a:b -H c:d --from 10.0.0.1 http://a/ --output text",
            "postern explain --admin http://127.0.0.1:9000 http://a/",
            "postern serve --kubernetes --admin-socket /run/postern/admin.sock",
            "postern probe ready --socket /run/postern/admin.sock",
            "postern probe live --socket a",
        ] {
            assert!(parse(line).is_ok(), "{line}: {:?}", parse(line).err());
        }
    }

    #[test]
    fn wrong_usage_is_exit_code_2() {
        for line in [
            "postern",
            "postern fly",
            "postern check",
            "postern check d --output xml",
            "postern explain",
            "postern explain --manifests d --admin http://x http://a/",
            "postern explain http://a/ --from nowhere",
            "postern probe ready",
            "postern probe well --socket a",
        ] {
            assert_eq!(parse(line).expect_err(line).exit_code(), 2, "{line}");
        }
        assert_eq!(parse("postern --version").expect_err("prints").kind(), ErrorKind::DisplayVersion);
    }

    #[test]
    fn every_flag_has_an_environment_variable_and_is_in_the_reference() {
        let reference = include_str!("../../docs/reference/settings.md");
        for command in Arguments::command().get_subcommands() {
            for flag in command.get_arguments() {
                let Some(long) = flag.get_long() else { continue };
                let id = flag.get_id();
                let variable = flag.get_env().unwrap_or_else(|| panic!("{id} has no variable")).to_string_lossy();
                let row = reference.lines().find(|line| {
                    let mut cells = line.split('|').map(str::trim).skip(1);
                    cells.next().is_some_and(|cell| cell.contains(&format!("--{long}")))
                        && cells.next().is_some_and(|cell| cell.contains(command.get_name()))
                        && line.contains(&*variable)
                });
                assert!(row.is_some(), "docs/reference/settings.md lacks --{long} of {}", command.get_name());
            }
        }
    }

    #[test]
    fn flags_reach_the_settings() {
        let line = "postern serve --bind 127.0.0.1 --bind ::1 --map-port 80=8080 --admin off --workers 3";
        let Ok(Arguments { command: Command::Serve(serve) }) = parse(line) else { panic!("a serve command") };
        let settings = resolve(Settings::default(), &serve.said(Vec::new())).expect("good");
        assert_eq!(settings.bind.len(), 2);
        assert_eq!(settings.port_map, [(80, 8080)]);
        assert_eq!(settings.admin.address, None);
        assert_eq!(settings.workers, 3);
    }

    #[test]
    fn a_bad_flag_is_wrong_usage_and_names_the_flag() {
        let Ok(Arguments { command: Command::Serve(serve) }) = parse("postern serve --workers many") else {
            panic!("a serve command")
        };
        let mistakes = resolve(Settings::default(), &serve.said(Vec::new())).expect_err("bad");
        assert!(mistakes.iter().all(super::super::settings::Mistake::is_usage));
        assert!(mistakes.iter().any(|mistake| mistake.to_string().starts_with("--workers: workers: \"many\"")));
    }
}
