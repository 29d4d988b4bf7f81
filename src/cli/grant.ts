import { Command } from "commander";
import { type ConnectionOptions, withClient, withConnection } from "./connection.ts";
import { CommandFailure, exitCodes } from "./failure.ts";
import { type OutputOptions, printData, table, tell, withJson } from "./output.ts";

type Options = ConnectionOptions & OutputOptions;

interface CreateOptions extends Options {
  readonly grantee: string;
  readonly operations: string;
  readonly contextSubset?: readonly string[];
  readonly contextEquals?: readonly string[];
  readonly notAfter?: string;
  readonly name?: string;
}

export function command(): Command {
  const grant = new Command("grant").description("Grants: let one principal do some things with one key.");
  grant.addHelpText(
    "after",
    `
Example:
  strongroom grant create alias/nodes --data ./km --grantee arn:aws:iam::123456789012:node/node-1 \\
    --operations Decrypt,DescribeKey --context-subset node=node-1 --not-after 2027-01-01T00:00:00Z`,
  );
  const pair = (value: string, before: readonly string[] = []) => [...before, value];
  grant.addCommand(
    withJson(withConnection(new Command("create").description("make a grant").argument("<key>", "id, alias or ARN")))
      .requiredOption("--grantee <arn>", "ARN of the principal that gets it")
      .requiredOption("--operations <list>", "operations, with commas: Decrypt,Encrypt,…")
      .option("--context-subset <name=value>", "the context must hold this (repeatable)", pair)
      .option("--context-equals <name=value>", "the context must be exactly these (repeatable)", pair)
      .option("--not-after <time>", "ISO 8601 time at which the grant ends")
      .option("--name <name>", "for people, and to make the same grant only once")
      .action((key: string, options: CreateOptions) =>
        withClient(options, async (client) => {
          const created = await client.grants.create(key, grantInput(options));
          printData(options, created, () => `grant id  ${created.id}`);
        }),
      ),
  );
  grant.addCommand(
    withJson(
      withConnection(new Command("list").description("list the grants on a key").argument("<key>", "id, alias or ARN")),
    ).action((key: string, options: Options) =>
      withClient(options, async (client) =>
        printData(options, await client.grants.list(key), (grants) =>
          table(
            ["GRANT ID", "GRANTEE", "OPERATIONS", "CONSTRAINTS", "NOT AFTER"],
            grants.map((each) => [
              each.id,
              each.grantee,
              each.operations.join(","),
              each.constraints === undefined ? "none" : JSON.stringify(each.constraints),
              each.notAfter === undefined ? "never" : String(each.notAfter),
            ]),
          ),
        ),
      ),
    ),
  );
  grant.addCommand(
    withConnection(
      new Command("revoke")
        .description("end a grant")
        .argument("<key>", "id, alias or ARN")
        .argument("<grant-id>", "as list shows it"),
    ).action((key: string, grantId: string, options: Options) =>
      withClient(options, async (client) => {
        await client.grants.revoke(key, grantId);
        tell(`grant ${grantId} is revoked; it holds from the next request on`);
      }),
    ),
  );
  return grant;
}

function grantInput(options: CreateOptions) {
  if (options.contextSubset !== undefined && options.contextEquals !== undefined)
    throw new CommandFailure(exitCodes.usage, "--context-subset and --context-equals exclude each other");
  const constraints =
    options.contextSubset !== undefined
      ? { encryptionContextSubset: contextOf(options.contextSubset) }
      : options.contextEquals !== undefined
        ? { encryptionContextEquals: contextOf(options.contextEquals) }
        : undefined;
  return {
    grantee: options.grantee,
    operations: options.operations.split(",").map((each) => each.trim()) as never,
    ...(constraints === undefined ? {} : { constraints }),
    ...(options.notAfter === undefined ? {} : { notAfter: options.notAfter as never }),
    ...(options.name === undefined ? {} : { name: options.name }),
  };
}

function contextOf(pairs: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    pairs.map((pair) => {
      const equals = pair.indexOf("=");
      if (equals < 1)
        throw new CommandFailure(exitCodes.usage, `a context entry is NAME=VALUE, got ${JSON.stringify(pair)}`);
      return [pair.slice(0, equals), pair.slice(equals + 1)];
    }),
  );
}
