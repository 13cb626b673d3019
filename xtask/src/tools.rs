//! `cargo xtask tools`: get or show the pinned programs.

use comfy_table::{Table, presets};
use thirdparty::pins;

use crate::cli::{ToolsArgs, ToolsVerb};
use crate::ctx::{Ctx, print, print_json};
use crate::exit::{Exit, Failure};

pub(crate) fn tools(ctx: &Ctx, args: &ToolsArgs) -> Result<Exit, Failure> {
    match args.verb.as_ref().unwrap_or(&ToolsVerb::List { json: false }) {
        ToolsVerb::Ensure { names, verify } => {
            let names: Vec<&str> = match names.as_slice() {
                [] => pins().iter().map(|pin| pin.name.as_str()).collect(),
                some => some.iter().map(String::as_str).collect(),
            };
            let known = |name: &&str| pins().iter().any(|pin| pin.name == **name);
            if let Some(unknown) = names.iter().find(|name| !known(name)) {
                let known: Vec<&str> = pins().iter().map(|pin| pin.name.as_str()).collect();
                return Err(Failure::usage(format!("there is no program `{unknown}`; there are {}", known.join(", "))));
            }
            for program in ctx.thirdparty().verify(*verify).ensure_all(&names)?.values() {
                print(&format!("{} {} ({})", program.name, program.path.display(), program.source));
            }
        }
        ToolsVerb::List { json } => list(ctx, *json)?,
    }
    Ok(Exit::Ok)
}

fn list(ctx: &Ctx, json: bool) -> Result<(), Failure> {
    let thirdparty = ctx.thirdparty();
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["PROGRAM", "PINNED", "SOURCE", "VERSION", "PATH"]);
    let mut found = Vec::new();
    for pin in pins() {
        let program = thirdparty.locate(&pin.name)?;
        let row = match &program {
            Some(program) => {
                let origin = program.origin.map_or(String::new(), |origin| format!(", from {origin}"));
                let source = format!("{}{origin}", program.source);
                [source, program.version.clone(), program.path.display().to_string()]
            }
            None => ["not here yet".to_owned(), String::new(), String::new()],
        };
        let [source, version, path] = row;
        table.add_row([pin.name.clone(), pin.version.clone(), source, version, path]);
        found.extend(program);
    }
    if json {
        print_json(&found)
    } else {
        print(&table.trim_fmt())
    }
    Ok(())
}
