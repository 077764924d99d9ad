//! Rounds and single figures as text tables.

use super::rounds::{Rounds, median, spread};

/// Prints one line per contender.
pub(crate) fn print_rounds(rounds: &Rounds, unit: &str, base: &str) {
    println!("  {:<22} {unit:>14}  {:>8}  {:>15}  {:>6}", "", format!("× {base}"), "quartiles", "errors");
    for series in &rounds.series {
        let ratios = rounds.ratios(series, base);
        let range = spread(&ratios).map_or_else(String::new, |[low, high]| format!("{low:.3} to {high:.3}"));
        let ratio = if ratios.is_empty() { String::new() } else { format!("{:.3}", median(&ratios)) };
        println!(
            "  {:<22} {:>14.2}  {ratio:>8}  {range:>15}  {:>6}",
            series.name,
            median(&series.costs),
            series.errors
        );
    }
    println!("  stolen by the hypervisor: median {:.1} % of a round", median(&rounds.stolen));
}

/// Prints figures with their names.
pub(crate) fn print_figures(figures: &[(String, f64, &str)]) {
    for (name, value, unit) in figures {
        println!("  {name:<44} {value:>12.2} {unit}");
    }
}
