//! Writes samples as Prometheus' text format 0.0.4 or as OpenMetrics 1.0. Knows no metric of ours.

use std::fmt::Write as _;

use super::{
    cell::{BUCKETS_MICROS, HistogramTotal},
    family::{Family, Kind},
};

/// Which text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `text/plain; version=0.0.4`.
    Text,
    /// `application/openmetrics-text; version=1.0.0`.
    OpenMetrics,
}

impl Format {
    /// What a scraper that sent `accept` is answered in.
    pub fn from_accept(accept: Option<&str>) -> Self {
        match accept {
            Some(accept) if accept.contains("application/openmetrics-text") => Self::OpenMetrics,
            _ => Self::Text,
        }
    }

    /// The answer's media type.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// An answer under way.
pub(super) struct Writer {
    format: Format,
    text: String,
}

/// One family under way: its head is written, its samples follow.
pub(super) struct Samples<'a> {
    writer: &'a mut Writer,
    family: Family,
}

impl Writer {
    pub(super) fn new(format: Format) -> Self {
        Self { format, text: String::with_capacity(32 * 1024) }
    }

    /// Begins `family`; each family once, its samples together.
    pub(super) fn family(&mut self, family: Family) -> Samples<'_> {
        let kind = match family.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
            Kind::Untyped if self.format == Format::OpenMetrics => "unknown",
            Kind::Untyped => "untyped",
        };
        // OpenMetrics names the family of a counter without the suffix of its samples.
        let name = match self.format {
            Format::OpenMetrics if family.kind == Kind::Counter => family.name.trim_end_matches("_total"),
            _ => family.name,
        };
        push(&mut self.text, format_args!("# HELP {name} {}\n# TYPE {name} {kind}\n", family.help));
        Samples { writer: self, family }
    }

    pub(super) fn finish(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.text.push_str("# EOF\n");
        }
        self.text
    }
}

impl Samples<'_> {
    /// One sample; `values` belong to the family's labels in order.
    pub(super) fn sample(&mut self, values: &[&str], value: impl Into<f64>) -> &mut Self {
        self.line("", values, None, value.into());
        self
    }

    /// One sample of a count. Exact up to 2^53, like every value in this format.
    pub(super) fn count(&mut self, values: &[&str], value: u64) -> &mut Self {
        self.sample(values, float(value))
    }

    /// One histogram: cumulative buckets in seconds, sum, count.
    pub(super) fn histogram(&mut self, values: &[&str], total: &HistogramTotal) -> &mut Self {
        let mut below = 0;
        let bounds = BUCKETS_MICROS.iter().map(|micros| (float(*micros) / 1e6).to_string());
        for (bound, count) in bounds.chain(["+Inf".to_owned()]).zip(total.buckets) {
            below += count;
            self.line("_bucket", values, Some(&bound), float(below));
        }
        self.line("_sum", values, None, float(total.sum_micros) / 1e6);
        self.line("_count", values, None, float(below));
        self
    }

    fn line(&mut self, suffix: &str, values: &[&str], bound: Option<&str>, value: f64) {
        debug_assert_eq!(self.family.labels.len(), values.len(), "{}: one value per label", self.family.name);
        let text = &mut self.writer.text;
        push(text, format_args!("{}{suffix}", self.family.name));
        let labels = self.family.labels.iter().copied().zip(values.iter().copied());
        let mut separator = '{';
        for (name, value) in labels.chain(bound.map(|bound| ("le", bound))) {
            push(text, format_args!("{separator}{name}=\""));
            escape(text, value);
            text.push('"');
            separator = ',';
        }
        if separator == ',' {
            text.push('}');
        }
        push(text, format_args!(" {value}\n"));
    }
}

/// Both formats escape backslash, quote and line feed in label values.
fn escape(text: &mut String, value: &str) {
    for c in value.chars() {
        match c {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            c => text.push(c),
        }
    }
}

fn push(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    text.write_fmt(arguments).expect("a String takes every text");
}

fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNTER: Family = Family { name: "x_total", kind: Kind::Counter, labels: &["a"], help: "Help." };

    fn written(format: Format) -> String {
        let mut writer = Writer::new(format);
        writer.family(COUNTER).count(&["q\"b\\s\nn"], 3);
        writer.finish()
    }

    #[test]
    fn label_values_are_escaped() {
        let text = "# HELP x_total Help.\n# TYPE x_total counter\nx_total{a=\"q\\\"b\\\\s\\nn\"} 3\n";
        assert_eq!(written(Format::Text), text);
    }

    #[test]
    fn openmetrics_names_a_counter_family_without_total_and_ends_with_eof() {
        let text = "# HELP x Help.\n# TYPE x counter\nx_total{a=\"q\\\"b\\\\s\\nn\"} 3\n# EOF\n";
        assert_eq!(written(Format::OpenMetrics), text);
    }

    #[test]
    fn buckets_are_cumulative_and_end_at_infinity() {
        let mut writer = Writer::new(Format::Text);
        let mut total = HistogramTotal { sum_micros: 1_500_000, ..Default::default() };
        total.buckets[0] = 2;
        total.buckets[14] = 1;
        let family = Family { name: "d_seconds", kind: Kind::Histogram, labels: &[], help: "Help." };
        writer.family(family).histogram(&[], &total);
        let text = writer.finish();
        for line in ["d_seconds_bucket{le=\"0.0005\"} 2", "d_seconds_bucket{le=\"+Inf\"} 3", "d_seconds_sum 1.5"] {
            assert!(text.lines().any(|have| have == line), "{line} in {text}");
        }
        assert!(text.ends_with("d_seconds_count 3\n"));
    }
}
