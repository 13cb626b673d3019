//! Lists at a constant rate from the cluster of a kubeconfig, and prints what came of it as JSON.
//!
//! ```console
//! $ cargo run -p apiload --example list -- ~/.kube/config pods json 100 10 > outcome.json
//! ```
//!
//! The arguments are the kubeconfig, the resource of the core group, `json` or `protobuf`, requests per second, and seconds.
//! Of ten lists eight are stale, one is consistent, and one is streamed. Ctrl-C ends it early, with what was had until then.

use std::io::Write as _;
use std::time::Duration;

use apiload::{Content, Control, List, Phase, Plan, Request, Share, Target, WatchList};
use kube::Config;
use kube::config::{KubeConfigOptions, Kubeconfig};
use measure::{Schedule, Until};

#[tokio::main(flavor = "multi_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [kubeconfig, resource, content, rate, seconds] = &arguments[..] else {
        return Err("usage: list KUBECONFIG RESOURCE CONTENT RATE SECONDS".into());
    };
    let file = Kubeconfig::read_from(kubeconfig)?;
    let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
    let content: Content = serde_json::from_value(content.as_str().into())?;
    let until = Until::Elapsed(Duration::from_secs(seconds.parse()?));
    let list = List { version: "v1".to_owned(), resource: resource.clone(), ..List::default() };
    let watch = WatchList { version: "v1".to_owned(), resource: resource.clone(), ..WatchList::default() };
    let mix = vec![
        Share { shares: 8, request: Request::StaleList(list.clone()) },
        Share { shares: 1, request: Request::QuorumList(list) },
        Share { shares: 1, request: Request::WatchList(watch) },
    ];
    let phase =
        Phase { connections: 4, clients: 40, content, ..Phase::new(Schedule::constant(rate.parse()?, until)?, mix) };

    let control = Control::new();
    let (stop, mut live) = (control.clone(), control.live());
    tokio::spawn(async move {
        tokio::signal::ctrl_c().await.ok();
        stop.stop();
    });
    tokio::spawn(async move {
        while live.changed().await.is_ok() {
            let now = *live.borrow_and_update();
            let p99 = now.p99.map_or("-".to_owned(), measure::human);
            let line =
                format!("{:.0}/s, {} in flight, p99 {p99}, {} errors", now.per_second, now.in_flight, now.errors);
            writeln!(std::io::stderr(), "{line}").ok();
        }
    });
    let target = Target::new(&config).await?;
    let outcome = apiload::run(&target, &Plan::new(vec![phase], 1), &control).await?;
    serde_json::to_writer_pretty(std::io::stdout(), &outcome)?;
    Ok(())
}
