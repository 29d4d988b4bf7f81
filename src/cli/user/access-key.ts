import { Command } from "commander";
import type { AccessKeyDescription } from "../../client/protocol.ts";
import { type ConnectionOptions, withClient, withConnection } from "../connection.ts";
import { type OutputOptions, printData, table, tell, withJson } from "../output.ts";
import { type CredentialOptions, checkCredentialFiles, handOverAccessKey, withCredentials } from "./credentials.ts";

type Options = ConnectionOptions & OutputOptions;
type NewKeyOptions = ConnectionOptions & CredentialOptions;

const idMeaning = "AKIA…, as list shows it";

/** `strongroom user access-key …`. */
export function accessKeyCommand(): Command {
  const accessKey = new Command("access-key").description("A user's access keys: two at most, secrets told once.");
  accessKey.addHelpText(
    "after",
    `
Example:
  strongroom user access-key create KMS-User1 --data ./km
  strongroom user access-key disable AKIAEXAMPLEEXAMPLE22 --data ./km`,
  );
  accessKey.addCommand(
    withCredentials(
      withJson(withConnection(new Command("create").description("make an access key").argument("<user>", "its name"))),
    ).action(async (user: string, options: NewKeyOptions) => {
      checkCredentialFiles(options);
      await withClient(options, async (client) =>
        handOverAccessKey(options, { user }, await client.accessKeys.create(user)),
      );
    }),
  );
  accessKey.addCommand(
    withJson(
      withConnection(new Command("list").description("list a user's access keys").argument("<user>", "its name")),
    ).action((user: string, options: Options) =>
      withClient(options, async (client) => show(options, (await client.users.describe(user)).accessKeys)),
    ),
  );
  for (const [verb, state, purpose] of [
    ["disable", "disabled", "refuse every request signed with an access key from now on"],
    ["enable", "enabled", "let a disabled access key sign again"],
  ] as const)
    accessKey.addCommand(
      withJson(withConnection(new Command(verb).description(purpose).argument("<id>", idMeaning))).action(
        (id: string, options: Options) =>
          withClient(options, async (client) => show(options, [await client.accessKeys.setState(id, state)])),
      ),
    );
  accessKey.addCommand(
    withCredentials(
      withJson(
        withConnection(
          new Command("rotate")
            .description("a new secret under the same id; the old one ends")
            .argument("<id>", idMeaning),
        ),
      ),
    ).action(async (id: string, options: NewKeyOptions) => {
      checkCredentialFiles(options);
      await withClient(options, async (client) => {
        const rotated = await client.accessKeys.rotate(id);
        handOverAccessKey(options, { user: rotated.user }, rotated);
      });
    }),
  );
  accessKey.addCommand(
    withConnection(new Command("delete").description("end an access key for good").argument("<id>", idMeaning)).action(
      (id: string, options: Options) =>
        withClient(options, async (client) => {
          await client.accessKeys.delete(id);
          tell(`access key ${id} is gone; it holds from the next request on`);
        }),
    ),
  );
  return accessKey;
}

function show(options: OutputOptions, keys: readonly AccessKeyDescription[]): void {
  printData(options, keys, () =>
    table(
      ["ACCESS KEY ID", "USER", "STATE", "VERSION", "CREATED"],
      keys.map((each) => [each.id, each.user, each.state, String(each.version), each.createdAt]),
    ),
  );
}
