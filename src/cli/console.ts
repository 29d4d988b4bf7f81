import { Command } from "commander";
import { type ConnectionOptions, withClient, withConnection } from "./connection.ts";
import { type OutputOptions, tell, withJson } from "./output.ts";

type Options = ConnectionOptions & OutputOptions & { readonly principal?: string };

export function command(): Command {
  const group = new Command("console").description("The web console of a running key manager (serve --console).");
  group.addHelpText(
    "after",
    `
Example:
  strongroom console code --data ./km                        # as the data folder's own administrator
  strongroom console code --data ./km --principal alice      # as alice, with her rights`,
  );
  group.addCommand(
    withJson(withConnection(new Command("code")))
      .description("print a one-time code for signing in (five minutes, one use)")
      .option("--principal <name>", "the user who signs in (default: the data folder's own administrator)")
      .action((options: Options) =>
        withClient(options, async (client) => {
          const { code, principal, expiresAt } = await client.console.createCode(options.principal);
          using secret = code;
          if (!options.json) tell(`signs in ${principal} once, until ${expiresAt}`);
          await secret.expose((bytes) => print(options, bytes, { principal, expiresAt }));
        }),
      ),
  );
  return group;
}

/** The code is meant to be read: it goes to standard output as it is, and as a member of the JSON object. */
function print(options: OutputOptions, code: Buffer, facts: Readonly<Record<string, string>>): Promise<void> {
  const parts = options.json
    ? [Buffer.from(`${JSON.stringify(facts).slice(0, -1)},"code":"`), code, Buffer.from('"}\n')]
    : [code, Buffer.from("\n")];
  return new Promise((resolve, reject) => {
    const text = Buffer.concat(parts);
    process.stdout.write(text, (error) => {
      text.fill(0);
      if (error) reject(error);
      else resolve();
    });
  });
}
