import type { TableKind } from "../../database/gm/envelope-table.ts";
import type { Tell } from "../drop-in.ts";
import { CommandFailure, exitCodes } from "../failure.ts";
import { envelop } from "./envelop.ts";
import { genkeypair } from "./genkeypair.ts";

const usage = `Usage: fctools COMMAND [options]

Key tools of the encrypted time-series database.

  gm genkeypair   make an SM2 master key, its private half encrypted under a pincode
  envelop         change the master key: put every sub-key into an envelope to another public key

fctools COMMAND --help shows a command's options. docs/encrypted-database.md tells how they go together.

Exit codes: 0 done, 1 other failure, 2 usage, 3 refused, 5 integrity failure.`;

/**
 * Runs `fctools`.
 *
 * @param args - Without the program's name.
 * @param kinds - The kinds of key tables that `envelop` knows.
 * @throws {CommandFailure} @throws {DatabaseError} @throws {DeviceError} @throws {CatalogueError}
 */
export async function runFctools(args: readonly string[], tell: Tell, kinds: readonly TableKind[]): Promise<void> {
  const [command, ...rest] = args;
  if (command === "gm" && rest[0] === "genkeypair") return genkeypair(rest.slice(1), tell);
  if (command === "envelop") return envelop(rest, tell, kinds);
  const asksForHelp = [command, rest[0]].some((word) => word === "--help" || word === "-h" || word === "help");
  if (asksForHelp) return void process.stdout.write(`${usage}\n`);
  throw new CommandFailure(
    exitCodes.usage,
    command === undefined ? "takes a command" : "knows the commands gm genkeypair and envelop",
    "fctools --help shows them",
  );
}
