import { readFileSync } from "node:fs";
import { Command, InvalidArgumentError, Option } from "commander";
import type { KeyManagerClient } from "../client/client.ts";
import type { AuditRecord } from "../client/protocol.ts";
import { parseCheckpoint } from "../custody/audit/checkpoint.ts";
import { csvHeading, csvLine, recordLine, shownJson } from "./audit-lines.ts";
import { reportCommand } from "./audit-report.ts";
import { searchCommand } from "./audit-search.ts";
import { type ConnectionOptions, withClient, withConnection } from "./connection.ts";
import { CommandFailure, exitCodes } from "./failure.ts";
import { type OutputOptions, printData, printText, withJson } from "./output.ts";

type Options = ConnectionOptions & OutputOptions;

const pageSize = 1000;
const followEveryMs = 1000;
export function command(): Command {
  const audit = new Command("audit").description("The audit chain: every request on every door.");
  audit.addHelpText(
    "after",
    `
Example:
  strongroom audit checkpoint --data ./km > checkpoint.json     # keep it on another machine
  strongroom audit verify --data ./km --checkpoint checkpoint.json`,
  );
  audit.addCommand(
    withJson(withConnection(new Command("tail").description("print the newest records")))
      .option("-n, --lines <count>", "how many", count, 20)
      .option("-f, --follow", "go on printing records as they come; with --json one object a line")
      .action((options: Options & { lines: number; follow?: boolean }) =>
        withClient(options, async (client) => {
          const { sequence } = await client.audit.checkpoint();
          const newest = recordsBetween(client, Math.max(0, sequence - options.lines), sequence);
          if (options.follow) return await follow(client, newest, sequence, options);
          const records = await Array.fromAsync(newest);
          if (options.json) printText(shownJson(records, 2));
          else process.stdout.write(`${records.map(recordLine).join("\n")}\n`);
        }),
      ),
  );
  audit.addCommand(searchCommand());
  audit.addCommand(reportCommand());
  audit.addCommand(
    withConnection(new Command("export").description("print all records, as they are stored or as a table"))
      .addOption(
        new Option("--format <format>", "the stored lines of JSON, or CSV with a heading")
          .choices(["jsonl", "csv"])
          .default("jsonl"),
      )
      .option("--after <sequence>", "begin after this record", count, 0)
      .action((options: Options & { format: "jsonl" | "csv"; after: number }) =>
        withClient(options, async (client) => {
          const { sequence } = await client.audit.checkpoint();
          if (options.format === "csv") {
            process.stdout.write(`${csvHeading}\n`);
            for await (const record of recordsBetween(client, options.after, sequence))
              process.stdout.write(`${csvLine(record)}\n`);
          } else
            for await (const line of storedBetween(client, options.after, sequence)) process.stdout.write(`${line}\n`);
        }),
      ),
  );
  audit.addCommand(
    withConnection(new Command("checkpoint").description("print the chain's head, signed, to keep elsewhere")).action(
      (options: Options) =>
        withClient(options, async (client) => printData({ json: true }, await client.audit.checkpoint(), String)),
    ),
  );
  audit.addCommand(
    withJson(withConnection(new Command("verify").description("recompute the chain; name the first bad record")))
      .option("--checkpoint <file>", "a checkpoint kept elsewhere: catches records cut off and stores rolled back")
      .action((options: Options & { checkpoint?: string }) =>
        withClient(options, async (client) => {
          const checkpoint = options.checkpoint === undefined ? undefined : readCheckpoint(options.checkpoint);
          const verdict = await client.audit.verify(checkpoint);
          printData(options, verdict, () =>
            verdict.firstBad === undefined
              ? `the audit chain verifies: ${verdict.records} records, head ${verdict.head}`
              : `record ${verdict.firstBad.sequence} is bad: ${verdict.firstBad.reason}`,
          );
          if (!verdict.ok) throw new CommandFailure(exitCodes.integrity, "the audit chain does not verify");
        }),
      ),
  );
  return audit;
}

/** Records from `after` (exclusive) to `last`, page by page. */
async function* recordsBetween(client: KeyManagerClient, after: number, last: number): AsyncGenerator<AuditRecord> {
  for (let next = after; next < last; ) {
    const records = await client.audit.read({ after: next, limit: pageSize });
    if (records.length === 0) return;
    for (const record of records) if (record.sequence <= last) yield record;
    next = records.at(-1)?.sequence ?? last;
  }
}

/** The stored texts of records from `after` (exclusive) to `last`. */
async function* storedBetween(client: KeyManagerClient, after: number, last: number): AsyncGenerator<string> {
  for (let next = after; next < last; ) {
    const records = await client.audit.export({ after: next, limit: pageSize });
    if (records.length === 0) return;
    for (const { sequence, text } of records) if (sequence <= last) yield text;
    next = records.at(-1)?.sequence ?? last;
  }
}

/** Prints the newest records, then each as it comes, until the command is stopped. */
async function follow(
  client: KeyManagerClient,
  newest: AsyncIterable<AuditRecord>,
  sequence: number,
  options: OutputOptions,
): Promise<void> {
  const print = (record: AuditRecord) =>
    process.stdout.write(`${options.json ? shownJson(record) : recordLine(record)}\n`);
  for await (const record of newest) print(record);
  for (let after = sequence; ; ) {
    const records = await client.audit.read({ after, limit: pageSize });
    for (const record of records) print(record);
    after = records.at(-1)?.sequence ?? after;
    await new Promise((resolve) => setTimeout(resolve, followEveryMs));
  }
}

function readCheckpoint(file: string) {
  try {
    return parseCheckpoint(readFileSync(file, "utf8"));
  } catch (cause) {
    throw new CommandFailure(
      exitCodes.usage,
      `the checkpoint ${file} cannot be read: ${cause instanceof Error ? cause.message : ""}`,
    );
  }
}

function count(text: string): number {
  if (!/^\d{1,12}$/.test(text)) throw new InvalidArgumentError("a whole number");
  return Number(text);
}
