/**
 * Owns a volume for a test, with a data key of 32 bytes on standard input. Prints a line when it is done, then waits.
 *
 *   node volume-owner.ts hold KIND FOLDER      opens the volume, writes a canary, prints `open`, stays until it is killed
 *   node volume-owner.ts leave KIND FOLDER     opens the volume for longer than itself, writes a canary, prints `open`, ends
 *   node volume-owner.ts create KIND FOLDER    prints `ready`, makes the volume, prints `made`, ends
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { SecretBuffer } from "../../../src/crypto/secret-buffer.ts";
import { volumeDriver } from "../../../src/volume/drivers.ts";
import { volumeKinds } from "../../../src/volume/volume.ts";

const [verb, kindName, folder = ""] = process.argv.slice(2);
const kind = volumeKinds.find((name) => name === kindName);
if (kind === undefined) throw new Error(`no kind ${kindName}`);
using dataKey = SecretBuffer.take(readFileSync(0));
const driver = await volumeDriver(kind);
if (verb === "create") {
  process.stdout.write("ready\n");
  await driver.create({ folder }, dataKey);
  process.stdout.write("made\n");
} else {
  const volume = await driver.open({ folder }, dataKey, { outliveOwner: verb === "leave" });
  writeFileSync(join(volume.dataPath, "canary"), "written before the kill", { flush: true });
  process.stdout.write("open\n");
  if (verb === "leave") process.exit(0);
  setInterval(() => {}, 60_000);
}
