/** Folders as the demo compares, copies and searches them. */
import { createHash } from "node:crypto";
import { cpSync, lstatSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { ClassicLevel } from "classic-level";
import type { SecretBuffer } from "../../src/crypto/secret-buffer.ts";
import { EncryptedLevel } from "../../src/level/index.ts";

/** One digest over every file's path, mode and bytes: equal only if nothing in the folder changed. */
export function folderDigest(folder: string): string {
  const hash = createHash("sha256");
  const visit = (path: string, name: string) => {
    const status = lstatSync(path);
    hash.update(`${name}\0${status.mode}\0`);
    if (status.isDirectory())
      for (const entry of readdirSync(path).sort()) visit(join(path, entry), `${name}/${entry}`);
    else if (status.isSymbolicLink()) hash.update(readlinkSync(path));
    else if (status.isFile()) hash.update(readFileSync(path));
  };
  visit(folder, "");
  return hash.digest("hex");
}

/** A byte-for-byte copy, as someone who carries the disk away has it. */
export function copyFolder(from: string, to: string): void {
  cpSync(from, to, { recursive: true, verbatimSymlinks: true });
}

/** Copies encrypted stores into plain ones, entry by entry: what the disk would hold without Strongroom. */
export async function plainCopyOfStores(volume: string, dataKey: SecretBuffer, to: string): Promise<number> {
  let entries = 0;
  for (const store of ["chain", "state", "meta"]) {
    const options = { keyEncoding: "view", valueEncoding: "view" } as const;
    await using encrypted = new EncryptedLevel<Uint8Array, Uint8Array>(join(volume, store), { dataKey, ...options });
    await using plain = new ClassicLevel<Uint8Array, Uint8Array>(join(to, store), options);
    for await (const [key, value] of encrypted.iterator()) {
      await plain.put(key, value);
      entries += 1;
    }
  }
  return entries;
}

/** Ports on loopback that nothing listens on. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  const ports = await Promise.all(
    servers.map(
      (server) =>
        new Promise<number>((resolve) => {
          server.listen(0, "127.0.0.1", () => resolve((server.address() as { port: number }).port));
        }),
    ),
  );
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
