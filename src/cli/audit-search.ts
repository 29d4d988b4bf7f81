import { Command, InvalidArgumentError } from "commander";
import type { KeyManagerClient } from "../client/client.ts";
import type { AuditRecord } from "../client/protocol.ts";
import { recordLine, shownJson } from "./audit-lines.ts";
import { type ConnectionOptions, withClient, withConnection } from "./connection.ts";
import { type OutputOptions, printText, tell, withJson } from "./output.ts";

interface SearchOptions extends ConnectionOptions, OutputOptions {
  readonly principal?: string;
  readonly key?: string;
  readonly node?: string;
  readonly purpose?: string;
  readonly action?: string;
  readonly since?: string;
  readonly until?: string;
  readonly denied?: boolean;
  readonly oldestFirst?: boolean;
  readonly cursor?: number;
  readonly limit: number;
}

type Query = Parameters<KeyManagerClient["audit"]["search"]>[0];

const pageSize = 1000;

export function searchCommand(): Command {
  return withJson(withConnection(new Command("search").description("print the records that fit, the newest last")))
    .option("--principal <name>", "ARN, node/NAME, user/NAME, a name, or an access key id")
    .option("--key <key>", "id, alias or ARN")
    .option("--node <name>", "a node's own requests, and those that name it")
    .option("--purpose <text>", "uses of keys whose context has this purpose, such as enclave-key")
    .option("--action <action>", "kms:Decrypt, or Decrypt; * at the end stands for any rest")
    .option("--since <time>", "ISO 8601, such as 2026-11-21T12:00:00Z, or a day (UTC)")
    .option("--until <time>", "records before this time")
    .option("--denied", "refusals only")
    .option("--limit <count>", "at most so many", positive, 100)
    .option("--oldest-first", "begin at the chain's begin, not at its end")
    .option("--cursor <next>", "go on where a search before ended", whole)
    .addHelpText(
      "after",
      `
All options that are given must fit. --json prints { records, next }: with --cursor next the search goes on.

Example:
  strongroom audit search --data ./km --node node0 --denied --since 2026-11-01`,
    )
    .action((options: SearchOptions) =>
      withClient(options, async (client) => {
        const { records, next } = await search(client, options);
        printText(
          options.json ? shownJson({ records, next }, 2) : inChainOrder(records, options).map(recordLine).join("\n"),
        );
        if (next !== null && !options.json) tell(`there is more: go on with --cursor ${next}`);
      }),
    );
}

/** Page after page, until there are as many records as are wanted or the chain has been searched. */
async function search(
  client: KeyManagerClient,
  options: SearchOptions,
): Promise<{ readonly records: readonly AuditRecord[]; readonly next: number | null }> {
  const records: AuditRecord[] = [];
  let next: number | null | undefined = options.cursor;
  do {
    const limit = Math.min(pageSize, options.limit - records.length);
    const page = await client.audit.search({
      ...filterOf(options),
      limit,
      ...(next === undefined ? {} : { cursor: next }),
    });
    records.push(...page.records);
    next = page.next;
  } while (next !== null && records.length < options.limit);
  return { records, next };
}

function filterOf(options: SearchOptions): Omit<Query, "limit" | "cursor"> {
  const { principal, key, node, purpose, action, since, until, denied, oldestFirst } = options;
  return {
    ...(principal === undefined ? {} : { principal }),
    ...(key === undefined ? {} : { key }),
    ...(node === undefined ? {} : { node }),
    ...(purpose === undefined ? {} : { purpose }),
    ...(action === undefined ? {} : { action }),
    ...(since === undefined ? {} : { since }),
    ...(until === undefined ? {} : { until }),
    ...(denied === undefined ? {} : { denied }),
    order: oldestFirst ? "oldest" : "newest",
  };
}

function inChainOrder(records: readonly AuditRecord[], { oldestFirst }: SearchOptions): readonly AuditRecord[] {
  return oldestFirst ? records : records.toReversed();
}

function positive(text: string): number {
  if (!/^[1-9]\d{0,5}$/.test(text)) throw new InvalidArgumentError("a whole number from 1 to 999999");
  return Number(text);
}

function whole(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new InvalidArgumentError("a whole number");
  return Number(text);
}
