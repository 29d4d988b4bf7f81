import { Command, Option } from "commander";
import type { KeyManagerClient } from "../client/client.ts";
import type { UserDescription } from "../client/protocol.ts";
import { type ConnectionOptions, withClient, withConnection } from "./connection.ts";
import { CommandFailure, exitCodes } from "./failure.ts";
import { type OutputOptions, printData, table, tell, withJson } from "./output.ts";
import { accessKeyCommand } from "./user/access-key.ts";
import {
  type CredentialOptions,
  checkCredentialFiles,
  handOverAccessKey,
  withCredentials,
} from "./user/credentials.ts";

type Options = ConnectionOptions & OutputOptions;
type Role = "admin" | "administrator" | "operator" | "auditor" | "key-user" | "none";

interface CreateOptions extends ConnectionOptions, CredentialOptions {
  readonly role?: Role;
  readonly group?: readonly string[];
  readonly accessKey: boolean;
}

export function command(): Command {
  const user = new Command("user").description(
    "Users that sign their requests, as clients of a cloud KMS do: roles, groups, access keys.",
  );
  user.addHelpText(
    "after",
    `
A user may do what its role allows, what the policies of its groups allow, and what key policies and grants give it.
The secret of an access key is told once, when it is made; it is stored nowhere, and a lost one is rotated.

Exit codes:
  0 done   1 no such user, or it exists already   2 usage   3 refused   4 key manager unreachable

Example:
  strongroom group create KMS-Users --policy AWSKeyManagementServicePowerUser --data ./km
  strongroom user create KMS-User1 --group KMS-Users --data ./km`,
  );
  user.addCommand(createCommand());
  user.addCommand(
    withJson(withConnection(new Command("list").description("list all users"))).action((options: Options) =>
      withClient(options, async (client) => show(options, await client.users.list())),
    ),
  );
  user.addCommand(
    withJson(
      withConnection(new Command("show").description("one user with its access keys").argument("<name>", "its name")),
    ).action((name: string, options: Options) =>
      withClient(options, async (client) => show(options, await client.users.describe(name))),
    ),
  );
  for (const [verb, purpose] of [
    ["disable", "refuse every request of a user from now on"],
    ["enable", "let a disabled user call again"],
  ] as const)
    user.addCommand(
      withJson(withConnection(new Command(verb).description(purpose).argument("<name>", "its name"))).action(
        (name: string, options: Options) =>
          withClient(options, async (client) => {
            await client.users.describe(name);
            await client.principals[verb](name);
            show(options, await client.users.describe(name));
          }),
      ),
    );
  user.addCommand(
    withJson(
      withConnection(
        new Command("set-groups")
          .description("put a user into these groups and no others")
          .argument("<name>", "its name")
          .argument("[groups...]", "names of groups; none takes it out of all"),
      ),
    ).action((name: string, groups: readonly string[], options: Options) =>
      withClient(options, async (client) => show(options, await client.users.setGroups(name, groups))),
    ),
  );
  user.addCommand(
    withCredentials(
      withJson(
        withConnection(
          new Command("rotate")
            .description("a new secret for a user's access key; the old one ends")
            .argument("<name>", "its name"),
        ),
      ),
    ).action(async (name: string, options: ConnectionOptions & CredentialOptions) => {
      checkCredentialFiles(options);
      await withClient(options, async (client) => {
        const rotated = await client.accessKeys.rotate(await onlyAccessKeyOf(client, name));
        handOverAccessKey(options, { user: name }, rotated);
      });
    }),
  );
  user.addCommand(
    withConnection(
      new Command("delete").description("remove a user, its access keys and its grants").argument("<name>", "its name"),
    ).action((name: string, options: Options) =>
      withClient(options, async (client) => {
        await client.users.delete(name);
        tell(`user ${name}, its access keys and its grants are gone; it holds from the next request on`);
      }),
    ),
  );
  user.addCommand(accessKeyCommand());
  return user;
}

function createCommand(): Command {
  return withCredentials(
    withJson(withConnection(new Command("create").description("make a user, and an access key for it"))),
  )
    .argument("<name>", "1 to 64 letters, digits or ._@-")
    .addOption(
      new Option(
        "--role <role>",
        "what it may do (default: nothing but what groups, key policies and grants give)",
      ).choices(["admin", "administrator", "operator", "auditor", "key-user", "none"]),
    )
    .option("--group <group...>", "groups it is in")
    .option("--no-access-key", "make the user alone; user access-key create makes a key later")
    .action(async (name: string, options: CreateOptions) => {
      checkCredentialFiles(options);
      await withClient(options, async (client) => {
        const { role, group: groups } = options;
        const made = await client.users.create({
          name,
          ...(role === undefined ? {} : { role: role === "admin" ? "administrator" : role }),
          ...(groups === undefined ? {} : { groups }),
        });
        if (!options.accessKey) return show(options, made);
        const { accessKeys: _none, publicKeys: _tls, identity: _node, ...about } = made;
        handOverAccessKey(options, about, await client.accessKeys.create(name));
      });
    });
}

async function onlyAccessKeyOf(client: KeyManagerClient, name: string): Promise<string> {
  const { accessKeys } = await client.users.describe(name);
  const [only, second] = accessKeys;
  if (only === undefined)
    throw new CommandFailure(exitCodes.other, `${name} has no access key`, `strongroom user access-key create ${name}`);
  if (second !== undefined)
    throw new CommandFailure(
      exitCodes.usage,
      `${name} has two access keys, ${only.id} and ${second.id}`,
      "strongroom user access-key rotate ID rotates one of them",
    );
  return only.id;
}

function show(options: OutputOptions, users: UserDescription | readonly UserDescription[]): void {
  printData(options, users, () =>
    table(
      ["NAME", "ROLE", "STATE", "GROUPS", "ACCESS KEYS", "ARN"],
      [users]
        .flat()
        .map((each) => [
          each.name,
          each.role,
          each.state,
          each.groups.join(",") || "none",
          each.accessKeys.map(({ id, state }) => (state === "enabled" ? id : `${id} (disabled)`)).join(",") || "none",
          each.arn,
        ]),
    ),
  );
}
