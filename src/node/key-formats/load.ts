import { NodeError } from "../errors.ts";
import type { KeyFormat } from "./format.ts";

/** Each format's module, by the format's name and in the order in which an unknown file is tried. */
const modules: ReadonlyMap<string, () => Promise<KeyFormat>> = new Map([
  ["pem", async () => (await import("./pem.ts")).pem],
  ["nodekey-hex", async () => (await import("./nodekey-hex.ts")).nodekeyHex],
  ["besu-key", async () => (await import("./besu-key.ts")).besuKey],
  ["keystore-json", async () => (await import("./keystore-json.ts")).keystoreJson],
  ["tessera-key", async () => (await import("./tessera-key.ts")).tesseraKey],
  ["pkcs12", async () => (await import("./pkcs12.ts")).pkcs12],
  ["besu-key-r1", async () => (await import("./besu-key.ts")).besuKeyR1],
  ["password-file", async () => (await import("./password-file.ts")).passwordFile],
  ["raw-secp256k1", async () => (await import("./raw.ts")).rawSecp256k1],
  ["fisco-hsm-pin", async () => (await import("./fisco-hsm-pin.ts")).fiscoHsmPin],
  ["opaque", async () => (await import("./raw.ts")).opaque],
]);

export const keyFormatNames: readonly string[] = [...modules.keys()];

/**
 * Loads one format and nothing of the others: a launch waits for no module that its keys do not need.
 *
 * @throws {NodeError} `INPUT_INVALID` for a name that no format has.
 */
export function loadKeyFormat(name: string): Promise<KeyFormat> {
  const load = modules.get(name);
  return load === undefined ? Promise.reject(noSuchFormat(name)) : load();
}

export function noSuchFormat(name: string): NodeError {
  const names = keyFormatNames.join(", ");
  return new NodeError("INPUT_INVALID", `there is no key format ${JSON.stringify(name)}; there are ${names}`);
}
