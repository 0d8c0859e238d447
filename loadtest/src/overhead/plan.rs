//! Connections, and which calls are made over them.

use std::sync::Arc;
use std::time::SystemTime;

use anyhow::Context as _;
use tonic::Code;

use super::block::Plan;
use super::compare::Expected;
use super::kind::Kind;
use super::mix::Mix;
use super::targets::Targets;
use crate::cli::OverheadArgs;
use crate::client::{ClientConfig, QuerierClient};
use crate::warning::Warning;

/// Connects to `addr`, as often as the flags say.
///
/// # Errors
/// When it does not answer in time, or a certificate cannot be used.
pub(super) async fn connect(
    args: &OverheadArgs,
    direct: &str,
    addr: &str,
) -> anyhow::Result<Vec<QuerierClient>> {
    let tls = args.tls.read(direct)?;
    let mut clients = Vec::new();
    for _ in 0..args.connections {
        let config = ClientConfig {
            tls: tls.clone(),
            tenant: args.tenant.clone(),
            snappy: args.compression.is_snappy(),
            ..ClientConfig::new(addr)
        };
        clients.push(QuerierClient::connect(config).await?);
    }
    Ok(clients)
}

/// Fixes the calls, and learns their answers from the backend itself. Calls that a given backend
/// cannot answer are left out; the second value says which.
///
/// # Errors
/// When the stand-in cannot answer a call, or a given backend none at all.
pub(super) async fn plan(
    args: &OverheadArgs,
    targets: &Targets,
    direct: &QuerierClient,
) -> anyhow::Result<(Plan, Vec<Warning>)> {
    let mix = mix(args, targets, direct).await.map_err(|error| {
        let is_unimplemented = error
            .downcast_ref::<tonic::Status>()
            .is_some_and(|status| status.code() == Code::Unimplemented);
        match is_unimplemented && args.compression.is_snappy() {
            true => error.context(
                "the backend does not take the call; if it knows no snappy, use --compression none",
            ),
            false => error,
        }
    })?;
    let (mut wanted, mut answers, mut warnings) = (Vec::new(), Vec::new(), Vec::new());
    let mut last = None;
    for (place, call) in mix.calls().iter().enumerate() {
        match direct.call(&call.call).await {
            Ok(answer) => {
                wanted.push(place);
                answers.push(answer);
            }
            Err(status) if targets.has_standin() => {
                return Err(status).with_context(|| format!("the backend itself fails: {call}"));
            }
            Err(status) => {
                let why = status.message().to_owned();
                warnings.push(Warning::LeftOut(call.to_string(), why));
                last = Some((call, status));
            }
        }
    }
    if let Some((call, status)) = last.filter(|_| wanted.is_empty()) {
        return Err(status).with_context(|| {
            let hint = match args.compression.is_snappy() {
                true => " (if it knows no snappy: --compression none)",
                false => "",
            };
            format!("the backend itself fails{hint}: {call}")
        });
    }
    let mix = mix.retain(&wanted);
    if !targets.has_standin() && args.singles().is_empty() && !mix.has(Kind::LargeTrace) {
        warnings.push(Warning::NoLargeTrace);
    }
    let plan = Plan {
        mix: Arc::new(mix),
        expected: Arc::new(Expected::new(answers)),
        streams: args.streams(),
    };
    Ok((plan, warnings))
}

async fn mix(
    args: &OverheadArgs,
    targets: &Targets,
    direct: &QuerierClient,
) -> anyhow::Result<Mix> {
    let singles = args.singles();
    if targets.has_standin() {
        return Ok(match singles.as_slice() {
            [] => Mix::for_standin(args.seed),
            singles => Mix::singles_for_standin(singles, &args.sizes),
        });
    }
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    let now = u32::try_from(now.as_secs())?;
    Mix::discover(direct, &singles, &args.trace_ids, now).await
}
