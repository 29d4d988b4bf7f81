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
  readonly retiring?: string;
}

export function command(): Command {
  const grant = new Command("grant").description("Grants: let one principal do some things with one key.");
  grant.addHelpText(
    "after",
    `
Example:
  strongroom grant create alias/nodes --data ./km --grantee arn:aws:iam::123456789012:node/node-1 \\
    --operations Decrypt,DescribeKey --context-subset node=node-1 --not-after 2027-01-01T00:00:00Z \\
    --retiring arn:aws:iam::123456789012:user/operations
  strongroom grant retire 0f8c1f2e-5d1c-4e0a-9c5e-2f6a1b7c3d4e --server https://kms.example:8443 --identity ./me`,
  );
  const pair = (value: string, before: readonly string[] = []) => [...before, value];
  grant.addCommand(
    withJson(withConnection(new Command("create").description("make a grant").argument("<key>", "id, alias or ARN")))
      .requiredOption("--grantee <arn>", "ARN of the principal that gets it")
      .requiredOption("--operations <list>", "operations, with commas: Decrypt,Encrypt,…")
      .option("--context-subset <name=value>", "the context must hold this (repeatable)", pair)
      .option("--context-equals <name=value>", "the context must be exactly these (repeatable)", pair)
      .option("--not-after <time>", "ISO 8601 time at which the grant ends")
      .option("--retiring <arn>", "ARN of a principal that may retire it")
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
  grant.addCommand(
    withConnection(
      new Command("retire")
        .description("end a grant by its own right: as its retiring principal, or as its grantee with RetireGrant")
        .argument("<grant-id>", "as create and list show it")
        .option("--key <key>", "id, alias or ARN of the key that it must be on"),
    ).action((grantId: string, options: Options & { key?: string }) =>
      withClient(options, async (client) => {
        await client.grants.retire(grantId, options.key);
        tell(`grant ${grantId} is retired; it holds from the next request on`);
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
    ...(options.retiring === undefined ? {} : { retiring: options.retiring }),
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
