import { Command } from "commander";
import type { KeyManagerClient } from "../client/client.ts";
import type { AuditRecord } from "../client/protocol.ts";
import { shown, shownJson } from "./audit-lines.ts";
import { type ConnectionOptions, withClient, withConnection } from "./connection.ts";
import { CommandFailure, exitCodes } from "./failure.ts";
import { type OutputOptions, printText, table, withJson } from "./output.ts";

interface ReportOptions extends ConnectionOptions, OutputOptions {
  readonly node: string;
  readonly all?: boolean;
  readonly keep?: boolean;
}

/** What a node asked for, and what it was answered. */
interface Report {
  readonly node: string;
  /** Records after this one, up to `until`. */
  readonly after: number;
  readonly until: number;
  /** When the report before was made. */
  readonly since: string | null;
  readonly uses: readonly Use[];
  readonly refusals: readonly Use[];
  readonly others: number;
}

type Use = Pick<
  AuditRecord,
  "sequence" | "at" | "principal" | "action" | "key" | "context" | "peer" | "userAgent" | "error"
>;

const pageSize = 1000;

export function reportCommand(): Command {
  return withJson(
    withConnection(
      new Command("report").description("what a node opened, when and from where, since the report before"),
    ),
  )
    .requiredOption("--node <name>", "the node")
    .option("--all", "from the chain's begin")
    .option("--keep", "let the next report begin where this one did")
    .addHelpText("after", "\nExample:\n  strongroom audit report --data ./km --node node0")
    .action((options: ReportOptions) =>
      withClient(options, async (client) => {
        const report = await reportOn(client, options);
        printText(options.json ? shownJson(report, 2) : rendered(report));
        // Only what has been printed counts as reported.
        if (!options.keep) await client.audit.completeReport(options.node, report.until);
      }),
    );
}

async function reportOn(client: KeyManagerClient, { node, all }: ReportOptions): Promise<Report> {
  const position = await client.audit.reportPosition(node);
  const after = all ? 0 : position.after;
  const { until } = position;
  const uses: Use[] = [];
  const refusals: Use[] = [];
  let others = 0;
  for await (const record of requestsOf(client, node, after, until)) {
    if (record.result !== "done") refusals.push(useOf(record));
    else if (record.key !== null && usesOfKeys.test(record.action)) uses.push(useOf(record));
    else others += 1;
  }
  if (position.reportedAt === null && uses.length + refusals.length + others === 0)
    throw new CommandFailure(
      exitCodes.other,
      `there is no node ${JSON.stringify(node)}: no request on record names it`,
    );
  return { node, after, until, since: all ? null : position.reportedAt, uses, refusals, others };
}

const usesOfKeys =
  /^(?:kms:(?:Decrypt|Encrypt|GenerateDataKey.*|ReEncrypt.*|Sign|Verify|GenerateMac|VerifyMac|DeriveSharedSecret)|strongroom:LegacyDecrypt)$/;

async function* requestsOf(
  client: KeyManagerClient,
  node: string,
  after: number,
  until: number,
): AsyncGenerator<AuditRecord> {
  for (let cursor: number | null = after; cursor !== null && cursor < until; ) {
    const query = { node, order: "oldest", cursor, limit: pageSize } as const;
    const page: Awaited<ReturnType<typeof client.audit.search>> = await client.audit.search(query);
    for (const record of page.records) {
      if (record.sequence > until) return;
      if (isRequestOf(record, node)) yield record;
    }
    cursor = page.next;
  }
}

/** Its own, or (of a node under a KMS, which asks as a user) one whose context names it. */
function isRequestOf({ principal, context }: AuditRecord, node: string): boolean {
  return principal.endsWith(`:node/${node}`) || context?.node === node;
}

function useOf({ sequence, at, principal, action, key, context, peer, userAgent, error }: AuditRecord): Use {
  return { sequence, at, principal, action, key, context, peer, userAgent, error };
}

function rendered({ node, after, until, since, uses, refusals, others }: Report): string {
  const headings = ["record", "when", "who", "what", "key", "from", "program", "context", "outcome"];
  const rows = [...uses, ...refusals]
    .sort((left, right) => left.sequence - right.sequence)
    .map((use) =>
      [
        String(use.sequence),
        use.at,
        use.principal.slice(use.principal.lastIndexOf(":") + 1),
        use.action,
        use.key ?? "",
        use.peer,
        use.userAgent ?? "",
        use.context === null ? "" : JSON.stringify(use.context),
        use.error ?? "done",
      ].map(shown),
    );
  const range =
    since === null ? `records ${after + 1} to ${until}` : `since ${since} (records ${after + 1} to ${until})`;
  const totals = `${uses.length} uses of keys, ${refusals.length} refused requests, ${others} other requests`;
  return `node ${node}, ${range}: ${totals}${rows.length === 0 ? "" : `\n\n${table(headings, rows)}`}`;
}
