//! A report's figures, one in each row.

mod measured;
mod overhead;
mod soak;

use ::csv::Writer;

use super::{AnyReport, Distribution, Estimate};

/// The names of the columns: the command; what was done; to whom; which figure; whose same figure
/// it is set against, as a difference or a ratio; its unit; the figure; the 95 % interval of its
/// median; how many rounds it comes from.
const HEADER: [&str; 10] = [
    "report", "scenario", "target", "metric", "base", "unit", "value", "low", "high", "rounds",
];

/// `report` as comma-separated values, with a header. What was not measured has no row.
///
/// # Errors
/// Those of writing to memory: none in practice.
pub(super) fn text(report: &AnyReport) -> anyhow::Result<String> {
    let mut rows = Rows {
        report: report.kind().to_owned(),
        writer: Writer::from_writer(Vec::new()),
    };
    rows.writer.write_record(HEADER)?;
    match report {
        AnyReport::Overhead(report) => overhead::write(report, &mut rows)?,
        AnyReport::Measured(report) => measured::write(report, &mut rows)?,
        AnyReport::Soak(report) => soak::write(report, &mut rows)?,
    }
    Ok(String::from_utf8(rows.writer.into_inner()?)?)
}

/// The rows so far.
struct Rows {
    report: String,
    writer: Writer<Vec<u8>>,
}

/// A figure: what it says of whom.
#[derive(Clone, Copy, Debug, Default)]
struct Figure<'a> {
    scenario: &'a str,
    target: &'a str,
    metric: &'a str,
    base: &'a str,
    unit: &'a str,
}

/// How much it is.
#[derive(Clone, Copy, Debug, Default)]
struct Value {
    value: f64,
    low: Option<f64>,
    high: Option<f64>,
    rounds: Option<usize>,
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self {
            value,
            ..Self::default()
        }
    }
}

impl From<u64> for Value {
    fn from(count: u64) -> Self {
        Self::from(count as f64)
    }
}

impl From<&Estimate> for Value {
    fn from(estimate: &Estimate) -> Self {
        Self {
            value: estimate.median,
            low: estimate.low,
            high: estimate.high,
            rounds: Some(estimate.rounds),
        }
    }
}

impl Rows {
    /// Adds a row, unless there is no value.
    fn push(
        &mut self,
        figure: Figure<'_>,
        value: Option<impl Into<Value>>,
    ) -> Result<(), ::csv::Error> {
        let Some(value) = value.map(Into::<Value>::into) else {
            return Ok(());
        };
        let optional = |number: Option<f64>| number.map_or_else(String::new, |n| n.to_string());
        self.writer.write_record([
            &self.report,
            figure.scenario,
            figure.target,
            figure.metric,
            figure.base,
            figure.unit,
            &value.value.to_string(),
            &optional(value.low),
            &optional(value.high),
            &value.rounds.map_or_else(String::new, |n| n.to_string()),
        ])
    }

    /// Adds the percentiles of `latency`; `prefix` goes before their names.
    fn distribution(
        &mut self,
        of: Figure<'_>,
        prefix: &str,
        latency: &Distribution,
    ) -> Result<(), ::csv::Error> {
        for (name, value) in [
            ("p50", latency.p50_ns),
            ("p90", latency.p90_ns),
            ("p99", latency.p99_ns),
            ("p99.9", latency.p999_ns),
            ("max", latency.max_ns),
        ] {
            let figure = Figure {
                metric: &format!("{prefix}{name}"),
                unit: "ns",
                ..of
            };
            self.push(figure, value)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{compare_table, measured_table, soak, table};

    /// The rows in which the first words are these.
    fn rows<'a>(text: &'a str, start: &str) -> Vec<&'a str> {
        text.lines()
            .filter(|line| line.starts_with(start))
            .collect()
    }

    fn is_rectangular(text: &str) {
        let mut reader = ::csv::Reader::from_reader(text.as_bytes());
        assert_eq!(reader.headers().unwrap(), &HEADER[..]);
        let rows: Vec<_> = reader.records().map(Result::unwrap).collect();
        assert!(
            rows.iter().all(|row| row[6].parse::<f64>().is_ok()),
            "{text}"
        );
        let mut keys: Vec<Vec<&str>> = rows
            .iter()
            .map(|row| row.iter().take(5).collect())
            .collect();
        let all = keys.len();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), all, "a figure comes twice: {text}");
    }

    #[test]
    fn every_figure_of_overhead_has_a_row() {
        let text = text(&table::tests::report().into()).unwrap();
        is_rectangular(&text);
        insta::assert_snapshot!(rows(&text, "overhead,health check,portamento").join("\n"), @r#"
        overhead,health check,portamento,requests,,requests,1464,,,
        overhead,health check,portamento,errors,,requests,0,,,
        overhead,health check,portamento,different,,requests,0,,,
        overhead,health check,portamento,p50,,ns,190000,,,
        overhead,health check,portamento,p90,,ns,380000,,,
        overhead,health check,portamento,p99,,ns,570000,,,
        overhead,health check,portamento,p99.9,,ns,760000,,,
        overhead,health check,portamento,max,,ns,950000,,,
        overhead,health check,portamento,added_p50,direct,ns,27000,23000,31000,183
        overhead,health check,portamento,added_p90,direct,ns,30000,20000,40000,
        overhead,health check,portamento,added_p99,direct,ns,5000,-5000,15000,
        "#);
        insta::assert_snapshot!(rows(&text, "overhead,all").join("\n"), @r#"
        overhead,all,direct,requests,,requests,4392,,,
        overhead,all,direct,answers,,bytes,2147483648,,,
        overhead,all,direct,rate,,requests/s,657.1,,,
        overhead,all,direct,machine_cpu,,us/request,812.4,,,
        overhead,all,null,requests,,requests,4392,,,
        overhead,all,null,answers,,bytes,2147483648,,,
        overhead,all,null,rate,,requests/s,657.1,,,
        overhead,all,null,machine_cpu,,us/request,812.4,,,
        overhead,all,portamento,requests,,requests,4392,,,
        overhead,all,portamento,answers,,bytes,2147483648,,,
        overhead,all,portamento,rate,,requests/s,657.1,,,
        overhead,all,portamento,machine_cpu,,us/request,812.4,,,
        overhead,all,portamento,cpu,,us/request,24.14,,,
        overhead,all,portamento,cpu_per_gib,,s/GiB,0.31,,,
        overhead,all,portamento,switches,,1/request,1.31,,,
        overhead,all,portamento,syscalls,,1/request,12.04,,,
        overhead,all,portamento,rss,,bytes,3400000,,,
        overhead,all,portamento,peak_rss,,bytes,3500000,,,
        "#);
        // What has a comma is quoted, what is missing is left out.
        assert_eq!(rows(&text, "overhead,\"trace, large\",null,added").len(), 1);
        assert_eq!(
            rows(&text, "overhead,query range,portamento,added_p50").len(),
            0
        );
    }

    #[test]
    fn scenarios_have_rates_and_ratios() {
        let text = text(&measured_table::tests::report().into()).unwrap();
        is_rectangular(&text);
        insta::assert_snapshot!(rows(&text, "connections,\"both ways, 64 streams\",sixteen").join("\n"), @r#"
        connections,"both ways, 64 streams",sixteen-letters-,errors,,rounds,0,,,
        connections,"both ways, 64 streams",sixteen-letters-,bytes,,bytes,5368709120,,,
        connections,"both ways, 64 streams",sixteen-letters-,operations,,1,12345,,,
        connections,"both ways, 64 streams",sixteen-letters-,rate,,GiB/s,2.345,2.2981000000000003,2.3919,10
        connections,"both ways, 64 streams",sixteen-letters-,p50,,ns,23400,,,
        connections,"both ways, 64 streams",sixteen-letters-,p90,,ns,45600,,,
        connections,"both ways, 64 streams",sixteen-letters-,p99,,ns,1234000,,,
        connections,"both ways, 64 streams",sixteen-letters-,p99.9,,ns,12340000,,,
        connections,"both ways, 64 streams",sixteen-letters-,max,,ns,212340000,,,
        connections,"both ways, 64 streams",sixteen-letters-,cpu,,s/GiB,0.000012,0.000011760000000000001,0.00001224,10
        connections,"both ways, 64 streams",sixteen-letters-,machine_cpu,,s/GiB,0.000123,0.00012054000000000001,0.00012546,10
        connections,"both ways, 64 streams",sixteen-letters-,switches,,1/GiB,2.01,1.9697999999999998,2.0502,10
        connections,"both ways, 64 streams",sixteen-letters-,syscalls,,1/GiB,4.02,,,
        connections,"both ways, 64 streams",sixteen-letters-,idle_untouched,,bytes/connection,1716,1681.68,1750.32,10
        connections,"both ways, 64 streams",sixteen-letters-,idle_used,,bytes/connection,66778,65442.44,68113.56,10
        connections,"both ways, 64 streams",sixteen-letters-,idle_fds,,files/connection,2,1.96,2.04,10
        connections,"both ways, 64 streams",sixteen-letters-,rate,direct,ratio,0.51,0.4998,0.5202,10
        connections,"both ways, 64 streams",sixteen-letters-,p50,direct,ratio,1.93,1.8914,1.9686,10
        "#);
        is_rectangular(&super::text(&compare_table::tests::report().into()).unwrap());
    }

    #[test]
    fn a_soak_has_a_row_for_each_look() {
        let text = text(&soak::tests::report().into()).unwrap();
        is_rectangular(&text);
        assert_eq!(
            rows(&text, "soak,after period 4"),
            [
                "soak,after period 4,proxy,\"open files, without pipes\",,1,19,,,",
                "soak,after period 4,proxy,ends of pipes,,1,600,,,",
            ]
        );
    }
}
