import { Command } from "commander";
import type { GroupDescription } from "../client/protocol.ts";
import { type ConnectionOptions, withClient, withConnection } from "./connection.ts";
import { type OutputOptions, printData, table, tell, withJson } from "./output.ts";

type Options = ConnectionOptions & OutputOptions;
type PolicyOptions = Options & { readonly policy?: readonly string[] };

const policyMeaning = "managed policies: AWSKeyManagementServicePowerUser";

export function command(): Command {
  const group = new Command("group").description("Groups of users: their members may what the groups' policies allow.");
  group.addHelpText(
    "after",
    `
Example:
  strongroom group create KMS-Users --policy AWSKeyManagementServicePowerUser --data ./km
  strongroom user create KMS-User1 --group KMS-Users --data ./km`,
  );
  group.addCommand(
    withJson(withConnection(new Command("create").description("make a group").argument("<name>", "its name")))
      .option("--policy <policy...>", policyMeaning)
      .action((name: string, options: PolicyOptions) =>
        withClient(options, async (client) =>
          show(options, await client.groups.create({ name, policies: options.policy ?? [] })),
        ),
      ),
  );
  group.addCommand(
    withJson(withConnection(new Command("list").description("list all groups"))).action((options: Options) =>
      withClient(options, async (client) => show(options, await client.groups.list())),
    ),
  );
  group.addCommand(
    withJson(
      withConnection(
        new Command("set-policy")
          .description("replace a group's policies")
          .argument("<name>", "its name")
          .argument("[policies...]", `${policyMeaning}; none takes all away`),
      ),
    ).action((name: string, policies: readonly string[], options: Options) =>
      withClient(options, async (client) => show(options, await client.groups.setPolicies(name, policies))),
    ),
  );
  group.addCommand(
    withConnection(
      new Command("delete").description("remove a group that nobody is in").argument("<name>", "its name"),
    ).action((name: string, options: Options) =>
      withClient(options, async (client) => {
        await client.groups.delete(name);
        tell(`group ${name} is gone`);
      }),
    ),
  );
  return group;
}

function show(options: OutputOptions, groups: GroupDescription | readonly GroupDescription[]): void {
  printData(options, groups, () =>
    table(
      ["NAME", "POLICIES", "ARN"],
      [groups].flat().map((each) => [each.name, each.policies.join(",") || "none", each.arn]),
    ),
  );
}
