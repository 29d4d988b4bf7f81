/**
 * Makes a sealfs volume in a folder, opens it, and tries on it what a file system must do:
 *
 *   node unprivileged-program.ts FOLDER
 *
 * Prints a line for each behaviour that failed, and last how many were tried.
 */
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { SecretBuffer } from "../../../../src/crypto/secret-buffer.ts";
import { volumeDriver } from "../../../../src/volume/drivers.ts";
import { fileBehaviours } from "../../../sealfs/behaviours/files.ts";
import { folderBehaviours } from "../../../sealfs/behaviours/folders.ts";

/** What is not tried, by how its name begins: links of 4,095 bytes, which docs/sealfs.md rules out, and what needs users that the namespace has not. */
const leftOut = ["a link to itself", "a file without permission", "new entries of a set-group-id folder"];

const [folder = ""] = process.argv.slice(2);
const place = { folder: join(folder, "volume") };
const driver = await volumeDriver("sealfs");
using dataKey = SecretBuffer.random(32);
await driver.create(place, dataKey, { suite: "sm" });
const volume = await driver.open(place, dataKey);
const behaviours = [...fileBehaviours, ...folderBehaviours].filter(
  ({ name }) => !leftOut.some((beginning) => name.startsWith(beginning)),
);
for (const [index, { name, run }] of behaviours.entries()) {
  const own = join(volume.dataPath, `behaviour-${index}`);
  mkdirSync(own);
  try {
    run(own);
  } catch (error) {
    console.log(`${name}: ${error instanceof Error ? error.message : String(error)}`);
  }
}
await volume.close();
const report = await driver.check(place, dataKey);
if (!report.sound) console.log(JSON.stringify(report.findings));
const owner = /^Uid:\s+(\d+)/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1];
console.log(`${behaviours.length} tried by user ${owner}`);
