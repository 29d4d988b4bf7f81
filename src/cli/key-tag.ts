import { Command } from "commander";
import { type ConnectionOptions, withClient, withConnection } from "./connection.ts";
import { CommandFailure, exitCodes } from "./failure.ts";
import { type OutputOptions, printData, table, tell, withJson } from "./output.ts";

type Options = ConnectionOptions & OutputOptions;

/** `strongroom key tag …`. */
export function tagCommand(): Command {
  const tag = new Command("tag").description("Tags of a key: names and values, for people and for policies.");
  tag.addHelpText(
    "after",
    `
Example:
  strongroom key tag add alias/nodes network=consortium-1 owner=operations --data ./km
  strongroom key tag list alias/nodes --data ./km --json
  strongroom key tag remove alias/nodes owner --data ./km`,
  );
  tag.addCommand(
    onKey("add", "add tags, or give those that are there new values")
      .argument("<tags...>", "NAME=VALUE, at most 50 on a key")
      .action((key: string, pairs: readonly string[], options: Options) =>
        withClient(options, async (client) => {
          await client.tags.add(key, tagsOf(pairs));
          tell(`${pairs.length === 1 ? "the tag is" : `${pairs.length} tags are`} on ${key}`);
        }),
      ),
  );
  tag.addCommand(
    onKey("remove", "remove tags; names that are not there are passed over")
      .argument("<names...>", "names of tags")
      .action((key: string, names: readonly string[], options: Options) =>
        withClient(options, async (client) => {
          await client.tags.remove(key, names);
          tell(`${key} has no tag ${names.join(", ")}`);
        }),
      ),
  );
  tag.addCommand(
    withJson(onKey("list", "list a key's tags")).action((key: string, options: Options) =>
      withClient(options, async (client) =>
        printData(options, await client.tags.list(key), (tags) => table(["NAME", "VALUE"], Object.entries(tags))),
      ),
    ),
  );
  return tag;
}

function onKey(name: string, purpose: string): Command {
  return withConnection(new Command(name).description(purpose).argument("<key>", "id, alias or ARN"));
}

/** @throws {CommandFailure} 2 for what is no NAME=VALUE, and for a name given twice. */
function tagsOf(pairs: readonly string[]): Record<string, string> {
  const tags = new Map<string, string>();
  for (const pair of pairs) {
    const equals = pair.indexOf("=");
    if (equals < 1) throw new CommandFailure(exitCodes.usage, `a tag is NAME=VALUE, got ${JSON.stringify(pair)}`);
    const name = pair.slice(0, equals);
    if (tags.has(name)) throw new CommandFailure(exitCodes.usage, `the tag ${JSON.stringify(name)} is given twice`);
    tags.set(name, pair.slice(equals + 1));
  }
  return Object.fromEntries(tags);
}
