import { readWrapped } from "./data-key.ts";
import { isFisco } from "./manifest.ts";
import type { LoadedManifest } from "./manifest-reader.ts";

/**
 * The `[storage_security]` block of a FISCO BCOS 3 node's config.ini: its cipher_data_key is the sealed box, in hex, that
 * only this node's sidecar has opened. Undefined for other kinds, and before the node has a data key.
 */
export function storageSecurityBlock(loaded: LoadedManifest): string | undefined {
  const { node, sidecar, dataKey } = loaded.manifest;
  if (!isFisco(node.kind) || dataKey.check === undefined) return undefined;
  return [
    "[storage_security]",
    "enable=true",
    `key_center_url=127.0.0.1:${sidecar.port}`,
    `cipher_data_key=${readWrapped(loaded).toString("hex")}`,
  ].join("\n");
}
