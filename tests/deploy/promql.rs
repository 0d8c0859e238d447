//! Queries, held against what a process exports.

use std::{collections::BTreeMap, convert::Infallible};

use promql_parser::{
    label::{MatchOp, Matcher},
    parser::{self, Expr, VectorSelector},
    util::{ExprVisitor, walk_expr},
};

use crate::support::Scrape;

/// Labels of the target: whoever scrapes adds them.
const TARGET_LABELS: [&str; 4] = ["job", "instance", "namespace", "pod"];

/// A series as a process exports it.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) value: f64,
}

impl Series {
    /// Every one of a scrape.
    pub(crate) fn all(scrape: &Scrape) -> Vec<Self> {
        let lines = scrape.0.lines().filter(|line| !line.starts_with('#'));
        lines.map(Self::parse).collect()
    }

    fn parse(line: &str) -> Self {
        let (series, value) = line.rsplit_once(' ').unwrap();
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let labels = labels.strip_suffix('}').unwrap().split(',');
        let labels = labels.filter_map(|label| {
            let (name, value) = label.split_once('=')?;
            Some((name.to_owned(), value.trim_matches('"').to_owned()))
        });
        Self {
            name: name.to_owned(),
            labels: labels.collect(),
            value: value.parse().unwrap(),
        }
    }

    /// As it is written, with more labels.
    pub(crate) fn selector(&self, more: &[(&str, &str)]) -> String {
        let own = self.labels.iter().map(|(name, value)| (&**name, &**value));
        let labels = own.chain(more.iter().copied());
        let labels: Vec<_> = labels
            .map(|(name, value)| format!("{name}={value:?}"))
            .collect();
        format!("{}{{{}}}", self.name, labels.join(", "))
    }

    fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }
}

/// A query, and the series that it asks for.
pub(crate) struct Query<'a> {
    text: &'a str,
    series: &'a [Series],
    /// Labels of the series that it selects.
    labels: Vec<String>,
    wrong: Vec<String>,
}

impl<'a> Query<'a> {
    /// Looks a query through.
    ///
    /// # Panics
    /// It can't be parsed, or asks for a metric, a label or a value of one that is not exported.
    pub(crate) fn check(text: &'a str, series: &'a [Series]) -> Self {
        let expr = parser::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let mut query = Self {
            text,
            series,
            labels: TARGET_LABELS.map(str::to_owned).to_vec(),
            wrong: Vec::new(),
        };
        // Selectors first: groupings are held against their labels.
        walk(&expr, |expr| match expr {
            Expr::VectorSelector(selector) => query.select(selector),
            Expr::MatrixSelector(matrix) => query.select(&matrix.vs),
            _ => {}
        });
        walk(&expr, |expr| query.group(expr));
        assert!(query.wrong.is_empty(), "{text}: {:?}", query.wrong);
        query
    }

    /// Holds a text with labels in it, `marked` by what is before and behind, against the query.
    ///
    /// # Panics
    /// It has a label that the result cannot have.
    pub(crate) fn check_labels_in(&self, text: &str, marked: (&str, &str)) {
        for rest in text.split(marked.0).skip(1) {
            let end = rest
                .find(|c: char| !c.is_alphanumeric() && c != '_')
                .unwrap_or(rest.len());
            assert!(rest[end..].starts_with(marked.1), "{text}");
            let label = &rest[..end];
            assert!(
                self.has(label),
                "{label} of '{text}' is not in {}",
                self.text
            );
        }
    }

    fn has(&self, label: &str) -> bool {
        self.labels.iter().any(|known| known == label)
    }

    fn select(&mut self, selector: &VectorSelector) {
        let name = selector.name.as_deref().unwrap_or_default();
        let family: Vec<_> = self
            .series
            .iter()
            .filter(|series| series.name == name)
            .collect();
        let Some(first) = family.first() else {
            return self.wrong.push(format!("no metric {name}"));
        };
        self.labels.extend(first.labels.keys().cloned());
        let matchers = &selector.matchers.matchers;
        let own = |matcher: &&Matcher| !TARGET_LABELS.contains(&matcher.name.as_str());
        for matcher in matchers.iter().filter(own) {
            let name = &matcher.name;
            for value in alternatives(matcher) {
                if !family.iter().any(|series| series.label(name) == value) {
                    self.wrong
                        .push(format!("no series with {name}=\"{value}\""));
                }
            }
        }
        let selected = family.iter().any(|series| {
            let mut matchers = matchers.iter().filter(own);
            matchers.all(|matcher| matcher.is_match(series.label(&matcher.name)))
        });
        if !selected {
            self.wrong.push(format!("{selector} selects nothing"));
        }
    }

    /// Holds the labels that an operator names against those that its operands have.
    fn group(&mut self, expr: &Expr) {
        let modifier = match expr {
            Expr::Aggregate(aggregate) => aggregate.modifier.as_ref(),
            Expr::Binary(binary) => binary.modifier.as_ref().and_then(|m| m.matching.as_ref()),
            _ => None,
        };
        for label in modifier
            .iter()
            .flat_map(|modifier| &modifier.labels().labels)
        {
            if !self.has(label) {
                self.wrong.push(format!("no label {label}"));
            }
        }
    }
}

/// The values that a matcher names.
fn alternatives(matcher: &Matcher) -> Vec<&str> {
    match &matcher.op {
        MatchOp::Equal | MatchOp::NotEqual => vec![&matcher.value],
        MatchOp::Re(_) | MatchOp::NotRe(_) => matcher.value.split('|').collect(),
    }
}

fn walk(expr: &Expr, visit: impl FnMut(&Expr)) {
    struct Each<F>(F);

    impl<F: FnMut(&Expr)> ExprVisitor for Each<F> {
        type Error = Infallible;

        fn pre_visit(&mut self, expr: &Expr) -> Result<bool, Infallible> {
            (self.0)(expr);
            Ok(true)
        }
    }

    let Ok(_) = walk_expr(&mut Each(visit), expr);
}
