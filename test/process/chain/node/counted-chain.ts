import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type KeyManagerProcess, succeed } from "../../node/key-manager-process.ts";
import { LocalChain, type LocalNode } from "./local-chain.ts";

const all = [0, 1, 2, 3] as const;

/** A node's name at the key manager. */
export const nameOf = (index: number): string => `chain0-node${index}`;

/**
 * A chain of four whose guards have counters at the key manager; all of them run.
 *
 * @param urlOf - Where a node reaches the key manager.
 */
export async function countedChain(
  keyManager: KeyManagerProcess,
  urlOf: (index: number) => string = () => keyManager.url,
): Promise<LocalChain> {
  const local = await LocalChain.build("-s");
  for (const index of all) {
    const { folder } = local.node(index);
    const where = ["--server", urlOf(index), "--key", "alias/nodes", "--dir", folder];
    const identity = ["--identity", "file", "--identity-folder", "identity"];
    await succeed("node", "init", nameOf(index), "--kind", "generic", "--network", "chain0", ...where, ...identity);
    await succeed("node", "enroll", folder, "--token-file", await keyManager.token(nameOf(index)));
    local.configure(index, /heartbeat_seconds=1/, "heartbeat_seconds=1\n    guard_counter=node.toml");
    local.node(index).start();
  }
  for (const index of all) await local.connected(index, 3);
  return local;
}

export function guardOf(node: LocalNode): Buffer {
  return readFileSync(join(node.folder, "data/guard"));
}
