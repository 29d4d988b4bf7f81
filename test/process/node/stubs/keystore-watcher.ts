/**
 * Unlocks accounts as geth and GoQuorum do: watches the keystore folder, passes over folders, links, dot files and backups
 * (accounts/keystore/file_cache.go), and opens each account with its password: the first line for geth, line n for the n-th
 * `--unlock` account for GoQuorum. Twice, since client applications unlock again later.
 *
 *     keystore-watcher.ts FOLDER PASSWORD-FILE ADDRESS[,ADDRESS…]
 */
import { lstatSync, readdirSync, readFileSync, watch } from "node:fs";
import { join } from "node:path";
import { SecretBuffer } from "../../../../src/crypto/secret-buffer.ts";
import { openKeystore } from "../../../../src/node/key-formats/keystore-lock.ts";

const [folder = "", passwordFile = "", unlock = ""] = process.argv.slice(2);
const watcher = watch(folder);

function accounts(): Map<string, Buffer> {
  const found = new Map<string, Buffer>();
  for (const name of readdirSync(folder)) {
    const stats = lstatSync(join(folder, name));
    if (name.endsWith("~") || name.startsWith(".") || !stats.isFile()) continue;
    const bytes = readFileSync(join(folder, name));
    found.set(`0x${(JSON.parse(bytes.toString()) as { address: string }).address}`, bytes);
  }
  return found;
}

const passwords = readFileSync(passwordFile, "utf8")
  .split("\n")
  .map((line) => line.replace(/\r+$/, ""));
for (let round = 0; round < 2; round++)
  for (const [index, address] of unlock.split(",").entries()) {
    const file = accounts().get(address);
    if (file === undefined) throw new Error(`no account ${address} in ${folder}`);
    const password = SecretBuffer.take(Buffer.from(passwords[index] ?? ""));
    const { identity } = await openKeystore(SecretBuffer.take(file), password);
    process.stdout.write(`unlocked ${identity.address}\n`);
  }
watcher.close();
