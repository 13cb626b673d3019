//! The kind provider with everything that it needs, and the node image (`cargo xtask node-image`).

use cluster::{KIND_PROGRAMS, Kind, Shape};
use nodeimage::{Ingredients, PUBLISHED};

use crate::cli::NodeImageArgs;
use crate::ctx::{Ctx, print, say};
use crate::doctor;
use crate::exit::{Exit, Failure};

/// Workers of a cluster that was asked for without a number.
pub(crate) const WORKERS: u32 = 2;
/// The name of a cluster that was asked for without one: `default` is kwok's.
pub(crate) const NAME: &str = "kind";

/// Variable with a node image of the user's own.
const IMAGE: &str = "KUBEDYNO_NODE_IMAGE";

/// A provider of clusters of so many workers. Gets what is missing, and says what cannot be got.
pub(crate) fn provider(ctx: &Ctx, workers: u32) -> Result<Kind, Failure> {
    ctx.check_writable()?;
    let shape = shape(ctx, workers)?;
    require(workers)?;
    let programs = ctx.thirdparty().ensure_all(&KIND_PROGRAMS)?;
    Ok(Kind::new(programs, ensure_image(ctx)?, shape))
}

/// The same for a transcript: what is there already, by its own path; what is not, by its name.
pub(crate) fn dry_provider(ctx: &Ctx, workers: u32) -> Result<Kind, Failure> {
    let programs = ctx.thirdparty().locate_all(&KIND_PROGRAMS)?;
    Ok(Kind::new(programs, "NODE_IMAGE".to_owned(), shape(ctx, workers)?))
}

/// `cargo xtask node-image`.
pub(crate) fn node_image(ctx: &Ctx, args: &NodeImageArgs) -> Result<Exit, Failure> {
    ctx.check_writable()?;
    require(1)?;
    let image = if args.build { build(ctx)? } else { ensure_image(ctx)? };
    print(&image);
    Ok(Exit::Ok)
}

fn shape(ctx: &Ctx, workers: u32) -> Result<Shape, Failure> {
    Ok(Shape::read(&ctx.root.join("kind-configs"), workers as usize)?)
}

/// What this machine lacks for rows on kind clusters, each with its fix. Where no node image is there, it is tried whether one
/// can be pulled.
pub(crate) fn lacks(ctx: &Ctx) -> Result<Vec<String>, Failure> {
    let lacks = doctor::lacks_of_kind(WORKERS);
    if !lacks.is_empty() || there(ctx)?.is_some() || pulled().is_some() {
        return Ok(lacks);
    }
    Ok(doctor::lacks_of_node_image())
}

/// Refuses before anything is got on a machine on which kind cannot work.
fn require(workers: u32) -> Result<(), Failure> {
    let lacks = doctor::lacks_of_kind(workers);
    if lacks.is_empty() {
        Ok(())
    } else {
        Err(Failure::environment(format!("the kind provider lacks {}", lacks.join("\n"))))
    }
}

/// The published image where it can be pulled; otherwise one that is built. What Docker has already goes before a pull, so
/// that where none can be had nobody waits for it twice.
fn ensure_image(ctx: &Ctx) -> Result<String, Failure> {
    if let Some(image) = there(ctx)?.or_else(pulled) {
        return Ok(image);
    }
    say("building one");
    build(ctx)
}

/// The image that Docker has already.
fn there(ctx: &Ctx) -> Result<Option<String>, Failure> {
    if let Some(image) = std::env::var(IMAGE).ok().filter(|image| !image.is_empty()) {
        let there = nodeimage::is_there(&image);
        let absent =
            || Failure::environment(format!("{IMAGE}={image}: Docker has no such image; `docker pull {image}`"));
        return there.then_some(image.clone()).ok_or_else(absent).map(Some);
    }
    if nodeimage::is_there(PUBLISHED) {
        return Ok(Some(PUBLISHED.to_owned()));
    }
    built(ctx)
}

/// The published image, when it can be pulled.
fn pulled() -> Option<String> {
    say(&format!("pulling {PUBLISHED}"));
    match nodeimage::pull(&say) {
        Ok(()) => Some(PUBLISHED.to_owned()),
        Err(why) => {
            say(&format!("it cannot be pulled: {why}"));
            None
        }
    }
}

/// The image that an earlier call has built, if the programs are still those.
fn built(ctx: &Ctx) -> Result<Option<String>, Failure> {
    let programs = ctx.thirdparty().locate_all(&nodeimage::PROGRAMS)?;
    if programs.len() < nodeimage::PROGRAMS.len() {
        return Ok(None);
    }
    let tag = Ingredients::new(programs, &ctx.root.join("fixtures/node-image")).tag()?;
    Ok(nodeimage::is_there(&tag).then_some(tag))
}

fn build(ctx: &Ctx) -> Result<String, Failure> {
    let lacks = doctor::lacks_of_node_image();
    if !lacks.is_empty() {
        return Err(Failure::environment(format!("no node image can be built without {}", lacks.join("\n"))));
    }
    let thirdparty = ctx.thirdparty();
    let programs = thirdparty.ensure_all(&nodeimage::PROGRAMS)?;
    let ingredients = Ingredients::new(programs, &ctx.root.join("fixtures/node-image"));
    let kubernetes = thirdparty.module("kubelet")?;
    let progress = thirdparty::progress::on_stderr();
    Ok(nodeimage::build(&ingredients, &kubernetes, &ctx.cache.join("node-image"), progress.as_ref())?)
}
