//! Rows on real nodes: which profile they are of, and what is said of them where they cannot run.

use crate::cli::{Profile, ProviderName, RunArgs, RunProvider};
use crate::ctx::Ctx;
use crate::doctor::lacks_of_kind;
use crate::exit::{Exit, Failure};
use crate::kind;
use crate::nextest::Nextest;
use crate::suites::Suite;

/// The profile that was asked for; on a kind cluster, when that is named or the suites have rows nowhere else.
pub(crate) fn profile(args: &RunArgs, suites: &[Suite]) -> Profile {
    let only_kind = suites.iter().all(|suite| suite.has("kind") && !suite.has("kwok"));
    match args.provider {
        Some(RunProvider::Kind) => args.profile.on_kind(),
        None if only_kind => args.profile.on_kind(),
        _ => args.profile,
    }
}

/// Refuses at once, before anything is built, what has no rows on the clusters that were asked for, and rows on real nodes where
/// this machine has none.
pub(crate) fn check(args: &RunArgs, suites: &[Suite]) -> Result<(), Failure> {
    let of_kind = args.profile.fixture() == ProviderName::Kind;
    if of_kind && matches!(args.provider, Some(RunProvider::Kwok | RunProvider::Existing)) {
        let profile = args.profile.name();
        return Err(Failure::usage(format!("--profile {profile} is of rows on kind clusters: take --provider away")));
    }
    let unsupported = |text: String| Err(Failure::new(Exit::Unsupported, format!("unsupported: {text}")));
    let (fixture, others) = if of_kind { ("kind", "kwok") } else { ("kwok", "kind") };
    let with_rows: Vec<&str> = suites.iter().filter(|suite| suite.has(fixture)).map(|suite| &*suite.package).collect();
    if with_rows.is_empty() {
        let suites: Vec<&str> = suites.iter().map(|suite| &*suite.package).collect();
        return unsupported(format!("{} has rows on {others} clusters only: --provider {others}", suites.join(", ")));
    }
    let lacks = if of_kind { lacks_of_kind(kind::WORKERS) } else { Vec::new() };
    match lacks.is_empty() {
        true => Ok(()),
        false => unsupported(format!("rows of {} on a kind cluster need\n{}", with_rows.join(", "), lacks.join("\n"))),
    }
}

/// The rows on real nodes that a run on a kwok cluster leaves out, with what they need.
pub(crate) fn not_selected(ctx: &Ctx, suites: &[Suite], args: &RunArgs) -> Result<Vec<String>, Failure> {
    let suites: Vec<&Suite> = suites.iter().filter(|suite| suite.has("kind")).collect();
    if suites.is_empty() || args.provider.is_some() || args.profile.fixture() == ProviderName::Kind {
        return Ok(Vec::new());
    }
    let profile = args.profile.on_kind();
    let packages = suites.iter().flat_map(|suite| ["-p".to_owned(), suite.package.clone()]);
    let rows = ["-E", "binary(kind) & not test(/^disturbed::/)"].map(str::to_owned);
    let rows = Nextest::new(ctx, profile.name(), packages.chain(rows).collect())?.list()?.rows;
    let lacks = lacks_of_kind(kind::WORKERS);
    let needs = match lacks.is_empty() {
        true => format!("--profile {}", profile.name()),
        false => lacks.join("; "),
    };
    Ok(rows.iter().map(|row| format!("{} {}: needs {needs}", row.suite, row.test)).collect())
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Verb};

    fn run(words: &[&str]) -> RunArgs {
        match Cli::parse_from([&["xtask", "run"], words].concat()).verb {
            Verb::Run(args) => args,
            other => panic!("{other:?}"),
        }
    }

    /// A suite that has rows on clusters of these providers.
    fn suite(directory: &tempfile::TempDir, name: &str, providers: &[&str]) -> Suite {
        let path = directory.path().join(name);
        std::fs::create_dir_all(path.join("tests")).unwrap();
        for provider in providers {
            std::fs::write(path.join("tests").join(provider).with_extension("rs"), "").unwrap();
        }
        Suite { package: format!("{name}-suite"), path, built: true }
    }

    #[test]
    fn a_suite_with_rows_on_kind_clusters_only_takes_their_profile_and_no_other_cluster() {
        let directory = tempfile::tempdir().unwrap();
        let only = [suite(&directory, "only", &["kind"])];
        let with_another = [only[0].clone(), suite(&directory, "both", &["kind", "kwok"])];
        assert_eq!(profile(&run(&[]), &only), Profile::Kind);
        assert_eq!(profile(&run(&["--profile", "published"]), &only), Profile::PublishedKind);
        assert_eq!(profile(&run(&[]), &with_another), Profile::Default);
        let refused = check(&run(&["--provider", "existing"]), &only).unwrap_err();
        assert_eq!(refused.exit, Exit::Unsupported);
        assert!(
            refused.to_string().contains("only-suite has rows on kind clusters only: --provider kind"),
            "{refused}"
        );
    }
}
