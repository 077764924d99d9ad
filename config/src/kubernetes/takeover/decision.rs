//! What is asked, what is seen, what was before → whether Postern owns or observes. Decided once per process start.

use std::collections::BTreeMap;

use super::Product;
use crate::kubernetes::convert::{Settings, exposure::Keeper};

/// What the operator asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wish {
    /// To own where the product is not found at start, else to observe.
    #[default]
    Auto,
    /// To observe in any case.
    Observe,
    /// To own.
    Own,
}

/// What the operator asks for, of all products.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// Products that are not in it: [`Wish::Auto`].
    pub products: BTreeMap<Product, Wish>,
    /// Own although the other's pods run.
    pub force: bool,
    /// The Service to adopt, as namespace and name; `None`: the one that is found.
    pub service: Option<(String, String)>,
}

/// What was seen of a product's pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// These run, as `namespace/name`; at least one.
    Running(Vec<String>),
    /// None runs.
    Absent,
    /// It cannot be told, for this reason.
    Unknown(String),
}

/// What Postern is to a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stance {
    /// Binds, announces and writes nothing in its place; compiles and reports.
    Observe,
    /// Does what it did.
    Own,
}

/// The stances of an earlier start on this node.
pub type Remembered = BTreeMap<Product, Stance>;

/// What was decided about one product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ruling {
    /// Which product.
    pub product: Product,
    /// What was asked for.
    pub wish: Wish,
    /// What was seen at start.
    pub seen: Seen,
    /// What came of it.
    pub stance: Stance,
    /// Whether the operator asked to own, and does not.
    pub refused: bool,
    /// Why, in one sentence.
    pub why: String,
}

/// What was decided at the start of this process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// One per product, in the order of [`Product::ALL`].
    pub rulings: Vec<Ruling>,
}

impl Wish {
    /// The values that the setting takes.
    pub const WORDS: [(&'static str, Self); 3] = [("auto", Self::Auto), ("observe", Self::Observe), ("own", Self::Own)];

    /// As the setting spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Observe => "observe",
            Self::Own => "own",
        }
    }
}

impl Stance {
    /// As settings, the API and what is kept on disk spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Observe => "observe",
            Self::Own => "own",
        }
    }
}

impl Wishes {
    /// What is asked for `product`.
    pub fn of(&self, product: Product) -> Wish {
        self.products.get(&product).copied().unwrap_or_default()
    }

    /// Decides. `see` says what was seen of each product.
    pub fn decide(&self, mut see: impl FnMut(Product) -> Seen, before: &Remembered) -> Decision {
        let rule = |product| self.rule(product, see(product), before.get(&product).copied());
        Decision { rulings: Product::ALL.into_iter().map(rule).collect() }
    }

    /// Decides while the API server does not answer: by what was decided last. `None`: nothing is known of an edge that
    /// is to be owned only where it does not run.
    pub fn decide_blindly(&self, why: &str, before: &Remembered) -> Option<Decision> {
        let is_told = |product: &Product| self.of(*product) != Wish::Auto || before.contains_key(product);
        let can = Product::ALL.iter().filter(|product| product.is_edge()).all(is_told);
        let seen = |product: Product| match (self.of(product), before.get(&product)) {
            (Wish::Auto, Some(Stance::Own)) => Seen::Absent,
            _ => Seen::Unknown(why.to_owned()),
        };
        let mut decision = can.then(|| self.decide(seen, before))?;
        for ruling in &mut decision.rulings {
            ruling.seen = Seen::Unknown(why.to_owned());
            if ruling.wish == Wish::Auto {
                ruling.why = format!("as at the last start: {why}");
            }
        }
        Some(decision)
    }

    fn rule(&self, product: Product, seen: Seen, before: Option<Stance>) -> Ruling {
        let wish = self.of(product);
        let (stance, refused, why) = if product.is_carried() {
            stand(product, wish, &seen, before, self.force)
        } else {
            (Stance::Observe, false, "what it does is not carried yet".to_owned())
        };
        Ruling { product, wish, seen, stance, refused, why }
    }
}

fn stand(product: Product, wish: Wish, seen: &Seen, before: Option<Stance>, force: bool) -> (Stance, bool, String) {
    let name = product.name();
    let key = format!("takeover.{}", product.key());
    let own = |why: String| (Stance::Own, false, why);
    let observe = |why: String| (Stance::Observe, false, why);
    match (wish, seen) {
        (Wish::Observe, _) => observe(format!("{key} is observe")),
        (Wish::Own, Seen::Absent) => own(format!("{key} is own, and {name} does not run")),
        (Wish::Own, Seen::Unknown(why)) => own(format!("{key} is own; whether {name} runs is not known: {why}")),
        (Wish::Own, Seen::Running(_)) if force => {
            own(format!("{key} is own and takeover.force is true, beside {name}"))
        }
        // A restart must not take away what this node did because the other has come back.
        (Wish::Own, Seen::Running(pods)) if before == Some(Stance::Own) => own(format!(
            "{key} is own and this node did its work before: it goes on beside {name}, which is back ({}); scale that to 0",
            pods.join(", ")
        )),
        (Wish::Own, Seen::Running(pods)) => (
            Stance::Observe,
            true,
            format!(
                "{key} is own, but {name} runs ({}): scale it to 0 and restart Postern, or set takeover.force",
                pods.join(", ")
            ),
        ),
        (Wish::Auto, Seen::Absent) => own(format!("{name} does not run")),
        (Wish::Auto, Seen::Running(pods)) => observe(format!("{name} runs ({})", pods.join(", "))),
        (Wish::Auto, Seen::Unknown(why)) => {
            observe(format!("whether {name} runs is not known ({why}); {key}: own says that it does not matter"))
        }
    }
}

impl Ruling {
    /// Whether the operator asked to own, and does.
    fn is_granted(&self) -> bool {
        self.wish == Wish::Own && self.stance == Stance::Own
    }
}

impl Decision {
    /// Where nobody asked, as from files: everything is owned that can be.
    pub fn own_all() -> Self {
        let wishes = Wishes::default();
        wishes.decide(|_| Seen::Absent, &Remembered::new())
    }

    fn edges(&self) -> impl Iterator<Item = &Ruling> {
        self.rulings.iter().filter(|ruling| ruling.product.is_edge())
    }

    /// Whether this process binds, announces and writes nothing: an edge is observed, and the operator asked for no
    /// other to be owned. (One who did wants Postern to serve beside the one that is observed.)
    pub fn observes(&self) -> bool {
        self.edges().any(|ruling| ruling.stance == Stance::Observe) && !self.edges().any(Ruling::is_granted)
    }

    /// What was asked to be owned and is not.
    pub fn refusals(&self) -> impl Iterator<Item = &Ruling> {
        self.rulings.iter().filter(|ruling| ruling.refused)
    }

    /// Products that Postern stands in for.
    pub fn owned(&self) -> impl Iterator<Item = Product> {
        self.rulings.iter().filter(|ruling| ruling.stance == Stance::Own).map(|ruling| ruling.product)
    }

    /// What the next start is to remember.
    pub fn remembered(&self) -> Remembered {
        let carried = self.rulings.iter().filter(|ruling| ruling.product.is_carried());
        carried.map(|ruling| (ruling.product, ruling.stance)).collect()
    }

    /// Takes out of `settings` the classes of edges that are observed beside what is served. While the whole process
    /// observes, all are judged as if they were owned. Addresses are given and announced only in the place of MetalLB.
    #[must_use]
    pub fn apply(&self, mut settings: Settings) -> Settings {
        // What is neither bound nor written is not announced either.
        let owns = self.owned().any(|product| product == Product::Metallb) && !self.observes();
        settings.addresses.keeper = if owns { Keeper::Cluster } else { Keeper::Other };
        if self.observes() {
            return settings;
        }
        for product in self.edges().filter(|ruling| ruling.stance == Stance::Observe).map(|ruling| ruling.product) {
            let is_theirs = |controller: &str, theirs: Option<&str>| Some(controller) == theirs;
            settings.ingress_controllers.retain(|ours| !is_theirs(ours, product.ingress_controller()));
            settings.gateway_controllers.retain(|ours| !is_theirs(ours, product.gateway_controller()));
            // Such an object is Traefik's by its rules.
            settings.serve_classless_ingress &= product != Product::Traefik;
        }
        settings
    }
}

#[cfg(test)]
mod tests {
    use Product::{IngressNginx, Metallb, Traefik};
    use jiff::Timestamp;

    use super::*;

    const RUNS: &str = "kube-system/traefik-1";

    fn running() -> Seen {
        Seen::Running(vec![RUNS.to_owned()])
    }

    fn wishes(wishes: &[(Product, Wish)]) -> Wishes {
        Wishes { products: wishes.iter().copied().collect(), ..Wishes::default() }
    }

    fn with_traefik(seen: &Seen) -> impl FnMut(Product) -> Seen + use<> {
        let seen = seen.clone();
        move |product| if product == Traefik { seen.clone() } else { Seen::Absent }
    }

    #[test]
    fn an_edge_is_owned_where_it_does_not_run_or_where_this_node_served_before() {
        let unknown = Seen::Unknown("forbidden".to_owned());
        let (own, observe) = (Some(Stance::Own), Some(Stance::Observe));
        for (wish, force, seen, before, stance, refused) in [
            (Wish::Auto, false, Seen::Absent, None, Stance::Own, false),
            (Wish::Auto, false, running(), None, Stance::Observe, false),
            (Wish::Auto, false, running(), own, Stance::Observe, false),
            (Wish::Auto, true, running(), None, Stance::Observe, false),
            (Wish::Auto, false, unknown.clone(), None, Stance::Observe, false),
            (Wish::Observe, false, Seen::Absent, own, Stance::Observe, false),
            (Wish::Observe, true, Seen::Absent, None, Stance::Observe, false),
            (Wish::Own, false, Seen::Absent, None, Stance::Own, false),
            (Wish::Own, false, unknown, None, Stance::Own, false),
            (Wish::Own, false, running(), None, Stance::Observe, true),
            (Wish::Own, false, running(), observe, Stance::Observe, true),
            (Wish::Own, false, running(), own, Stance::Own, false),
            (Wish::Own, true, running(), None, Stance::Own, false),
        ] {
            let wishes = Wishes { force, ..wishes(&[(Traefik, wish)]) };
            let before = before.map(|stance| (Traefik, stance)).into_iter().collect();
            let decision = wishes.decide(with_traefik(&seen), &before);
            let ruling = &decision.rulings[0];
            assert_eq!((ruling.stance, ruling.refused), (stance, refused), "{wish:?} {force} {seen:?} {before:?}");
            assert_eq!(decision.observes(), stance == Stance::Observe, "{decision:?}");
        }
    }

    #[test]
    fn without_the_api_server_what_was_decided_last_holds() {
        let blind = |wish, before: Option<Stance>| {
            let mut remembered: Remembered = Product::ALL.into_iter().map(|product| (product, Stance::Own)).collect();
            match before {
                Some(stance) => drop(remembered.insert(Traefik, stance)),
                None => drop(remembered.remove(&Traefik)),
            }
            let decision = wishes(&[(Traefik, wish)]).decide_blindly("no answer", &remembered)?;
            Some(decision.rulings[0].stance)
        };
        assert_eq!(blind(Wish::Auto, None), None, "nothing is known");
        for (wish, before, stance) in [
            (Wish::Auto, Some(Stance::Own), Stance::Own),
            (Wish::Auto, Some(Stance::Observe), Stance::Observe),
            (Wish::Own, None, Stance::Own),
            (Wish::Own, Some(Stance::Observe), Stance::Own),
            (Wish::Observe, Some(Stance::Own), Stance::Observe),
        ] {
            assert_eq!(blind(wish, before), Some(stance), "{wish:?} {before:?}");
        }
    }

    #[test]
    fn beside_an_edge_that_is_observed_postern_serves_only_when_told_to_own_another() {
        let nginx = |product| if product == IngressNginx { running() } else { Seen::Absent };
        let auto = Wishes::default().decide(nginx, &Remembered::new());
        assert!(auto.observes());
        let base = Settings::for_files(Timestamp::UNIX_EPOCH);
        let mut judged = base.clone();
        judged.addresses.keeper = Keeper::Other;
        assert_eq!(
            auto.apply(base.clone()),
            judged,
            "routes are judged as if all were owned, and nothing is announced"
        );

        let told = wishes(&[(Traefik, Wish::Own)]).decide(nginx, &Remembered::new());
        assert!(!told.observes());
        let settings = told.apply(base.clone());
        let ours: Vec<_> = settings.ingress_controllers.iter().map(|controller| &**controller).collect();
        assert_eq!(ours, ["postern.dev/ingress", "traefik.io/ingress-controller"]);
        assert!(settings.serve_classless_ingress);

        let other = wishes(&[(IngressNginx, Wish::Own)]).decide(with_traefik(&running()), &Remembered::new());
        let settings = other.apply(base);
        assert!(!settings.serve_classless_ingress, "such are Traefik's");
        assert!(!settings.gateway_controllers.iter().any(|controller| controller.contains("traefik")));
    }

    #[test]
    fn what_is_no_edge_is_observed_and_holds_nothing_up() {
        let metallb = |product| if product == Metallb { running() } else { Seen::Absent };
        let decision = Wishes::default().decide(metallb, &Remembered::new());
        let ruling = decision.rulings.iter().find(|ruling| ruling.product == Metallb).expect("all are there");
        assert_eq!(ruling.stance, Stance::Observe);
        assert!(!decision.observes());
        assert!(!Decision::own_all().observes());
    }
}
