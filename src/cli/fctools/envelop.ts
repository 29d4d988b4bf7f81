import { parseArgs } from "node:util";
import type { SecretBuffer } from "../../crypto/secret-buffer.ts";
import { openEnvelopeTable, type TableKind } from "../../database/gm/envelope-table.ts";
import { openPrivateKey } from "../../database/gm/private-key.ts";
import { formatPublicKey } from "../../database/gm/public-key.ts";
import { type RewrapReport, rewrapAll } from "../../database/gm/rewrap.ts";
import { type SubKeyOpener, softOpener } from "../../database/gm/sub-key-envelope.ts";
import { changeMasterKey } from "../../database/settings-change.ts";
import type { Tell } from "../drop-in.ts";
import { CommandFailure, exitCodes } from "../failure.ts";
import {
  type CurrentKey,
  currentKeyOf,
  newPublicKeyOf,
  proveNewKey,
  type SettingsChange,
  settingsChangeOf,
} from "./envelop-arguments.ts";
import { pincodeArguments, readPincode } from "./pincode.ts";

export const envelopUsage = `Usage: fctools envelop --pubkey HEX --prikey-file FILE --expubkey HEX [options] PATH
       fctools envelop --pubkey HEX --hardware --devices FILE --expubkey HEX [options] PATH

Changes the master key of the database instance whose folder is PATH (data of [database]): opens every sub-key with the
current private key, and puts it into an envelope to the new public key. No data is written anew. The database must not be
running. Asks for the pincode of the current private key. A run that was interrupted goes on where it was, given the same arguments.

  --pubkey HEX            the current public key
  --prikey-file FILE      the current private key, as fctools gm genkeypair prints it
  --prikey TEXT           the same on the command line, where others see it
  --expubkey HEX          the new public key (--expubley is read as well)
  --hardware              the current private key is in a cipher card; the pincode is the card's PIN
  --devices FILE          with --hardware: the devices.toml that names the card
  --device NAME           with --hardware: the card, where there are several
  --pincode-file FILE     read the pincode from FILE (mode 0600 or 0400, yours) instead of the terminal
  --pincode-fd N          read it from the open file descriptor N
  --update-config FILE    set the new public key in FILE, a strongroom.toml
  --exprikey-file FILE    with --update-config: set FILE as the file of the new private key, too
  --expincode-file FILE   with --exprikey-file: the file of its pincode. The new private key is opened with it before anything
                          is changed, and pincode-file is set, too
  --json                  print {"total", "rewrapped", "resumed", "publicKey", "config"}

Exit codes: 0 done, 1 other failure, 2 usage, 3 refused (a wrong pincode, another master key), 5 integrity failure.`;

const progressEveryMs = 1_000;

/**
 * `fctools envelop`.
 *
 * @throws {CommandFailure} @throws {DatabaseError} @throws {DeviceError} @throws {CatalogueError}
 */
export async function envelop(args: readonly string[], tell: Tell, kinds: readonly TableKind[]): Promise<void> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      ...pincodeArguments,
      pubkey: { type: "string" },
      prikey: { type: "string" },
      "prikey-file": { type: "string" },
      expubkey: { type: "string" },
      expubley: { type: "string" },
      hardware: { type: "boolean", default: false },
      devices: { type: "string" },
      device: { type: "string" },
      "update-config": { type: "string" },
      "exprikey-file": { type: "string" },
      "expincode-file": { type: "string" },
      json: { type: "boolean", default: false },
      help: { type: "boolean", short: "h" },
    },
  });
  if (values.help) return void process.stdout.write(`${envelopUsage}\n`);
  const [path, ...more] = positionals;
  if (path === undefined || more.length > 0)
    throw new CommandFailure(exitCodes.usage, "takes one PATH, the folder of a database instance");
  const current = currentKeyOf(values, tell);
  const newPublicKey = newPublicKeyOf(values, current.publicKey);
  const change = settingsChangeOf(values, current.publicKey, newPublicKey);
  await proveNewKey(values, newPublicKey);
  using pincode = await readPincode(values);
  // The pincode is proved here, before the table is opened.
  await using opener = await openerOf(current, pincode);
  using table = await openEnvelopeTable(path, opener, kinds);
  const report = await rewrapAll(table, {
    opener,
    newPublicKey,
    onProgress: progressTeller(tell),
    onInForce: () => {
      if (change !== undefined) changeMasterKey(change.file, change.key);
    },
  });
  print(report, newPublicKey, change, values.json);
}

async function openerOf(current: CurrentKey, pincode: SecretBuffer): Promise<SubKeyOpener> {
  const { publicKey } = current;
  if ("text" in current) {
    using scalar = await openPrivateKey({ text: current.text, publicKey, pincode });
    return await softOpener(scalar, publicKey);
  }
  const [{ cardOpener }, { readCatalogue }] = await Promise.all([
    import("../../database/gm/card-opener.ts"),
    import("../../devices/catalogue/read.ts"),
  ]);
  return await cardOpener({ catalogue: readCatalogue(current.devices), device: current.device, publicKey, pincode });
}

/** At most once a second, and at the end. */
function progressTeller(tell: Tell): (done: number, total: number) => void {
  let toldAtMs = performance.now();
  return (done, total) => {
    if (done < total && performance.now() - toldAtMs < progressEveryMs) return;
    toldAtMs = performance.now();
    tell(`${done} of ${total} sub-keys`);
  };
}

function print(report: RewrapReport, newPublicKey: Buffer, change: SettingsChange | undefined, json: boolean): void {
  const publicKey = formatPublicKey(newPublicKey);
  if (json) {
    const config = change?.file ?? null;
    process.stdout.write(`${JSON.stringify({ ...report, publicKey, config }, undefined, 2)}\n`);
    return;
  }
  const { total, rewrapped, resumed } = report;
  const earlier = resumed > 0 ? ` (${rewrapped} now, ${resumed} by an earlier run)` : "";
  const lines = [`${total} sub-keys are in envelopes to the new public key${earlier}`];
  if (change === undefined)
    lines.push(
      "Before the next start, set in [security.encryption] (and provider, path, pincode-file to what goes with that key):",
      `public-key = "${publicKey}"`,
    );
  else lines.push(`${change.file} has the new public-key`);
  if (change?.leavesPath) lines.push("Set path to the file of its private key: it still names the former one's");
  if (change?.leavesPincode) lines.push("If its pincode is another, set pincode-file: it still names the former one's");
  process.stdout.write(`${lines.join("\n")}\n`);
}
