//! `cargo xtask cluster`: up, down, list, status, gc, fault, logs.

use std::collections::BTreeMap;
use std::time::Instant;

use cluster::{
    Component, Down, Fixtures, Kwok, NodeShape, Provider, SettingsUsed, Shell, State, Status, Up, UpRequest,
    container_logs,
};
use comfy_table::{Table, presets};
use measure::human;
use serde::Serialize;
use serde_json::json;

use crate::cli::{ClusterArgs, ClusterVerb, ProviderName};
use crate::ctx::{Ctx, print, print_json, say};
use crate::exit::{Exit, Failure};
use crate::preflight::preflight;
use crate::{fault, gc, kind, signals};

pub(crate) async fn cluster(ctx: &Ctx, args: ClusterArgs) -> Result<Exit, Failure> {
    let fixtures = ctx.fixtures();
    match args.verb {
        ClusterVerb::Up {
            name,
            nodes,
            node_cpu,
            node_memory_gib,
            node_max_pods,
            service_range,
            dry_run,
            json,
            provider,
        } => {
            let shape = NodeShape { cpu: node_cpu, memory_gib: node_memory_gib, max_pods: node_max_pods };
            let (default, simulated) = match provider {
                ProviderName::Kwok => ("default", nodes.unwrap_or(0)),
                ProviderName::Kind => (kind::NAME, 0),
            };
            let name = name.unwrap_or_else(|| default.to_owned());
            let range = match provider {
                ProviderName::Kwok => range_of(&fixtures, &name, service_range)?,
                ProviderName::Kind => service_range,
            };
            let source = source(ctx, provider, nodes, range, dry_run)?;
            up(ctx, source.as_ref(), &UpRequest { name, nodes: simulated, shape }, dry_run, json).await
        }
        ClusterVerb::Down { name, force, dry_run, json } => {
            let shell = shell(dry_run);
            let (became, line) = match fixtures.down(&name, force, &shell)? {
                Down::Ended => ("ended", format!("cluster `{name}` is down")),
                Down::Forgotten => ("forgotten", format!("cluster `{name}` is forgotten; it goes on")),
            };
            if json && !dry_run {
                print_json(&json!({ became: name }));
                return Ok(Exit::Ok);
            }
            done(&shell, &line)
        }
        ClusterVerb::List { json } => list(&fixtures, json).await,
        ClusterVerb::Status { name, json } => {
            let status = fixtures.status(&name).await?;
            if json {
                print_json(&status)
            } else {
                print(&status_text(&status))
            }
            Ok(if status.problems.is_empty() { Exit::Ok } else { Exit::Environment })
        }
        ClusterVerb::Preflight { access, json } => preflight(ctx, &access, json).await,
        ClusterVerb::Gc { dry_run, json } => {
            let shell = shell(dry_run);
            let swept = gc::gc(ctx, &shell).await?;
            swept.left.iter().for_each(|left| say(left));
            let exit = if swept.left.is_empty() { Exit::Ok } else { Exit::Environment };
            if json {
                print_json(&swept);
                return Ok(exit);
            }
            let clusters = if swept.clusters.is_empty() { "no cluster".to_owned() } else { swept.clusters.join(", ") };
            let line = format!(
                "removed {clusters}, {} processes, {} namespaces, {} nodes, {} files",
                swept.processes, swept.namespaces, swept.nodes, swept.files
            );
            done(&shell, &line).map(|_| exit)
        }
        ClusterVerb::Fault { name, force, fault } => fault::fault(&fixtures, &name, force, fault).await,
        ClusterVerb::Logs { name, component, tail, json } => logs(&fixtures, &name, component.as_deref(), tail, json),
    }
}

/// The Service addresses that a kwok cluster has already, or those that are asked for: with others it would be made anew.
fn range_of(fixtures: &Fixtures, name: &str, asked: Option<String>) -> Result<Option<String>, Failure> {
    let has = match fixtures.descriptor(name).ok().and_then(|descriptor| descriptor.settings) {
        Some(SettingsUsed::Kwok(settings)) => Some(settings.service_cluster_ip_range),
        Some(SettingsUsed::Kind(_)) | None => None,
    };
    match (has, asked) {
        (Some(has), Some(asked)) if has != asked => Err(Failure::usage(format!(
            "cluster `{name}` has the Service addresses {has}: `cargo xtask cluster down --name {name}` first, and it is made anew"
        ))),
        (has, asked) => Ok(has.or(asked)),
    }
}

/// Where a cluster comes from, with what that needs; of a dry run, with what is there already. `nodes` are the workers of kind.
///
/// # Errors
/// When something cannot be had, or the provider has no such setting.
pub(crate) fn source(
    ctx: &Ctx,
    provider: ProviderName,
    nodes: Option<u32>,
    service_range: Option<String>,
    dry_run: bool,
) -> Result<Box<dyn Provider>, Failure> {
    let workers = nodes.unwrap_or(kind::WORKERS);
    Ok(match (provider, service_range) {
        (ProviderName::Kind, Some(_)) => {
            return Err(Failure::usage(
                "--service-range is a setting of kwok clusters: take it or --provider kind away",
            ));
        }
        (ProviderName::Kind, None) if dry_run => Box::new(kind::dry_provider(ctx, workers)?),
        (ProviderName::Kind, None) => Box::new(kind::provider(ctx, workers)?),
        (ProviderName::Kwok, range) => {
            let kwok = if dry_run { dry_provider(ctx)? } else { ctx.kwok()? };
            Box::new(match range {
                Some(range) => kwok.with_service_range(range),
                None => kwok,
            })
        }
    })
}

async fn up(
    ctx: &Ctx,
    provider: &dyn Provider,
    request: &UpRequest,
    dry_run: bool,
    json: bool,
) -> Result<Exit, Failure> {
    let started = Instant::now();
    let fixtures = ctx.fixtures();
    if dry_run {
        let shell = Shell::dry();
        fixtures.up(provider, request, &shell, &say).await?;
        return done(&shell, "");
    }
    let up = signals::up(ctx, provider, request).await?;
    let descriptor = fixtures.descriptor(&request.name)?;
    if json {
        print_json(&descriptor);
        return Ok(Exit::Ok);
    }
    let verb = match up {
        Up::Adopted => "adopted",
        Up::Repaired => "repaired",
        Up::Created => "created",
    };
    print(&format!(
        "cluster `{}` {verb} in {}: {}\nexport KUBECONFIG={}",
        request.name,
        human(started.elapsed()),
        descriptor.apiserver,
        descriptor.kubeconfig.display()
    ));
    Ok(Exit::Ok)
}

/// What is there already, by its own path; what is not, by its name.
fn dry_provider(ctx: &Ctx) -> Result<Kwok, Failure> {
    Ok(Kwok::new(ctx.thirdparty().locate_all(&cluster::PROGRAMS)?, cluster::Settings::default()))
}

/// A cluster without a descriptor, as `list` shows it.
#[derive(Serialize)]
struct HalfMade {
    name: String,
    provider: &'static str,
    state: String,
}

async fn list(fixtures: &Fixtures, json: bool) -> Result<Exit, Failure> {
    let (mut statuses, mut half_made) = (Vec::new(), Vec::new());
    let mut exit = Exit::Ok;
    for name in fixtures.names() {
        match fixtures.status(&name).await {
            Ok(status) => statuses.push(status),
            Err(cluster::Error::HalfMade { name, provider, by, .. }) => {
                let state = by.map_or_else(|| "half-made".to_owned(), |by| format!("being made by {by}"));
                half_made.push(HalfMade { name, provider, state });
            }
            Err(error) => {
                say(&format!("`{name}`: {error}"));
                exit = Exit::Environment;
            }
        }
    }
    if json {
        let all = statuses.iter().map(|status| json!(status)).chain(half_made.iter().map(|half_made| json!(half_made)));
        print_json(&all.collect::<Vec<_>>());
        return Ok(exit);
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["NAME", "PROVIDER", "STATE", "APISERVER", "MEMORY", "IN USE BY"]);
    for status in &statuses {
        let rss: u64 = status.usage.iter().flatten().map(|usage| usage.rss_bytes).sum();
        let state = if status.problems.is_empty() { "healthy".to_owned() } else { status.problems.join("; ") };
        table.add_row([
            status.descriptor.name.clone(),
            status.descriptor.provider.clone(),
            state,
            status.descriptor.apiserver.clone(),
            format!("{} MiB", rss >> 20),
            status.holders.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        ]);
    }
    for HalfMade { name, provider, state } in &half_made {
        table.add_row([name.as_str(), *provider, state.as_str()]);
    }
    if !table.is_empty() {
        print(&table.trim_fmt());
    } else if exit == Exit::Ok {
        say("no cluster; `cargo xtask cluster up` makes one");
    }
    Ok(exit)
}

fn status_text(status: &Status) -> String {
    let descriptor = &status.descriptor;
    let versions: Vec<String> = descriptor.versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
    let mut lines = vec![
        format!("cluster    {} ({}), made {}", descriptor.name, descriptor.provider, descriptor.created_at),
        format!("versions   {}", versions.join(", ")),
        format!("apiserver  {}", descriptor.apiserver),
        format!("kubeconfig {}", descriptor.kubeconfig.display()),
    ];
    let state = if status.problems.is_empty() { "healthy".to_owned() } else { status.problems.join("; ") };
    lines.push(format!("state      {state}"));
    lines.extend(descriptor.repairs.iter().map(|repair| format!("repaired   {repair}")));
    lines.extend(status.holders.iter().map(|holder| format!("in use by  {holder}")));
    let Some(settings) = &descriptor.settings else {
        lines.push("settings   unknown: it is a cluster of others, and so are its components".to_owned());
        return lines.join("\n");
    };
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["COMPONENT", "PID", "STATE", "CPU S", "MEMORY", "METRICS"]);
    for (component, usage) in descriptor.components.iter().zip(&status.usage) {
        let state = match component.process.state() {
            State::Running => "running",
            State::Paused => "paused",
            State::Dead => "dead",
        };
        table.add_row([
            component.name.clone(),
            component.process.pid.to_string(),
            state.to_owned(),
            usage.map_or("-".to_owned(), |usage| format!("{:.1}", usage.cpu_s)),
            usage.map_or("-".to_owned(), |usage| format!("{} MiB", usage.rss_bytes >> 20)),
            component.metrics_url.clone().unwrap_or_default(),
        ]);
    }
    lines.push(format!("\n{}\n\nsettings that change what is measured:", table.trim_fmt()));
    if let Ok(serde_json::Value::Object(settings)) = serde_json::to_value(settings) {
        lines.extend(settings.iter().map(|(key, value)| format!("  {key} = {value}")));
    }
    lines.join("\n")
}

fn logs(fixtures: &Fixtures, name: &str, component: Option<&str>, tail: usize, json: bool) -> Result<Exit, Failure> {
    let descriptor = fixtures.descriptor(name)?;
    if descriptor.is_existing() {
        return Err(Failure::usage(format!("`{name}` is a cluster of others: its logs are where its components run")));
    }
    if let Some(wanted) = component {
        descriptor.require(wanted)?;
    }
    let mut lines = BTreeMap::new();
    for component in descriptor.components.iter().filter(|found| component.is_none_or(|wanted| wanted == found.name)) {
        let (place, text) = match descriptor.provider.as_str() {
            "kind" => (component.name.clone(), container_logs(&fixtures.directory(name), &component.name, tail)?),
            _ => (component.log.display().to_string(), end_of_log(component, tail)?),
        };
        if json {
            lines.insert(component.name.clone(), text.lines().map(str::to_owned).collect::<Vec<_>>());
            continue;
        }
        print(&format!("==> {place} <=="));
        print(&text);
    }
    if json {
        print_json(&lines);
    }
    Ok(Exit::Ok)
}

fn end_of_log(component: &Component, tail: usize) -> Result<String, Failure> {
    let text = std::fs::read(&component.log)
        .map_err(|error| Failure::environment(format!("cannot read {}: {error}", component.log.display())))?;
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    Ok(lines[lines.len().saturating_sub(tail)..].join("\n"))
}

fn shell(dry_run: bool) -> Shell {
    if dry_run { Shell::dry() } else { Shell::real() }
}

fn done(shell: &Shell, line: &str) -> Result<Exit, Failure> {
    if shell.is_dry() {
        print(&shell.transcript().join("\n"))
    } else {
        print(line)
    }
    Ok(Exit::Ok)
}
