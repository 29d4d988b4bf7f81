import { readFileSync } from "node:fs";
import { Command } from "commander";
import { type ConnectionOptions, withClient, withConnection } from "./connection.ts";
import { CommandFailure, exitCodes } from "./failure.ts";
import { type OutputOptions, printData, tell, withJson } from "./output.ts";

type Options = ConnectionOptions & OutputOptions;

export function command(): Command {
  const policy = new Command("policy").description("Key policies: AWS policy JSON, one document for each master key.");
  policy.addHelpText(
    "after",
    `
Example:
  strongroom policy show alias/nodes --data ./km > nodes.json
  strongroom policy set alias/nodes nodes.json --data ./km`,
  );
  policy.addCommand(
    withJson(
      withConnection(new Command("show").description("print a key's policy").argument("<key>", "id, alias or ARN")),
    ).action((key: string, options: Options) =>
      withClient(options, async (client) =>
        printData(options, JSON.parse(await client.policies.get(key)), (value) => JSON.stringify(value, null, 2)),
      ),
    ),
  );
  policy.addCommand(
    withConnection(
      new Command("set")
        .description("replace a key's policy")
        .argument("<key>", "id, alias or ARN")
        .argument("<file>", "policy JSON"),
    )
      .option("--bypass-lockout-check", "accept a policy that you could not change again")
      .action((key: string, file: string, options: Options & { bypassLockoutCheck?: boolean }) =>
        withClient(options, async (client) => {
          const { bypassLockoutCheck } = options;
          await client.policies.put(
            key,
            readPolicy(file),
            bypassLockoutCheck === undefined ? {} : { bypassLockoutCheck },
          );
          tell(`the policy of ${key} is replaced; it holds from the next request on`);
        }),
      ),
  );
  policy.addCommand(
    new Command("check")
      .description("check a policy document without a key manager")
      .argument("<file>", "policy JSON")
      .action(async (file: string) => {
        const { parsePolicy } = await import("../custody/policy/policy-document.ts");
        parsePolicy(readPolicy(file), "key");
        tell(`${file} is a key policy that Strongroom evaluates in full`);
      }),
  );
  return policy;
}

function readPolicy(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    throw new CommandFailure(
      exitCodes.usage,
      `the policy file ${file} cannot be read: ${(cause as NodeJS.ErrnoException).code}`,
    );
  }
}
