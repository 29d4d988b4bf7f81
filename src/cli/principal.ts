import { Command, Option } from "commander";
import type { PrincipalDescription } from "../client/protocol.ts";
import { type ConnectionOptions, withClient, withConnection } from "./connection.ts";
import { type OutputOptions, printData, table, withJson } from "./output.ts";

type Options = ConnectionOptions & OutputOptions;

export function command(): Command {
  const principal = new Command("principal").description(
    "Who may call: administrators, auditors, operators, services.",
  );
  principal.addHelpText(
    "after",
    `
An administrator manages keys, policies and nodes but cannot use a key; an auditor reads every record and changes nothing.
A principal gets its certificate as a node does: strongroom node token NAME, then strongroom node enroll --into DIR.

Example:
  strongroom principal create alice --role auditor --data ./km`,
  );
  principal.addCommand(
    withJson(withConnection(new Command("create").description("make a user or service").argument("<name>", "its name")))
      .addOption(new Option("--kind <kind>", "user or service").choices(["user", "service"]).default("user"))
      .addOption(
        new Option("--role <role>", "what it may do")
          .choices(["administrator", "auditor", "operator", "key-user"])
          .makeOptionMandatory(),
      )
      .action((name: string, options: Options & { kind: "user" | "service"; role: "auditor" }) =>
        withClient(options, async (client) =>
          show(options, [await client.principals.create({ name, kind: options.kind, role: options.role })]),
        ),
      ),
  );
  principal.addCommand(
    withJson(withConnection(new Command("list").description("list all principals"))).action((options: Options) =>
      withClient(options, async (client) => show(options, await client.principals.list())),
    ),
  );
  for (const [verb, purpose] of [
    ["disable", "refuse every request of a principal from now on"],
    ["enable", "let a disabled principal call again"],
  ] as const)
    principal.addCommand(
      withJson(withConnection(new Command(verb).description(purpose).argument("<name>", "its name"))).action(
        (name: string, options: Options) =>
          withClient(options, async (client) => show(options, [await client.principals[verb](name)])),
      ),
    );
  return principal;
}

function show(options: OutputOptions, principals: readonly PrincipalDescription[]): void {
  printData(options, principals.length === 1 ? principals[0] : principals, () =>
    table(
      ["NAME", "KIND", "ROLE", "STATE", "IDENTITY", "ARN"],
      principals.map((each) => [each.name, each.kind, each.role, each.state, each.identity ?? "none", each.arn]),
    ),
  );
}
