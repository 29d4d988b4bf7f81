import { readFileSync, statSync } from "node:fs";
import type { Context } from "../crypto/context.ts";
import { SecretBuffer } from "../crypto/secret-buffer.ts";
import { hkdf, type Suite, suites } from "../crypto/suite.ts";
import { NodeError } from "./errors.ts";
import { type KeyManager, verdictOf } from "./key-manager.ts";
import type { Manifest } from "./manifest.ts";
import type { LoadedManifest } from "./manifest-reader.ts";

export const dataKeyBytes = 32;
const maxWrappedBytes = 8192;
const noSalt = Buffer.alloc(0);

/** What a node's wrapped data key is bound to. */
export function dataKeyContext(manifest: Manifest): Context {
  return { network: manifest.node.network, node: manifest.node.name, purpose: "node-data-key" };
}

/**
 * The key-check value: 16 bytes of HKDF(data key, no salt, "strongroom/node/check/v1") over the suite's hash, in hex.
 * It tells one data key from another and nothing about either.
 */
export function keyCheckValue(suite: Suite, dataKey: SecretBuffer): string {
  using check = hkdf(suite, dataKey, noSalt, Buffer.from("strongroom/node/check/v1"), 16);
  return check.expose((bytes) => bytes.toString("hex")); // exposes-secret: a key-check value is public
}

/**
 * Asks the key manager to release the node's data key, and checks that it is the right one. The caller disposes of it.
 *
 * @throws {NodeError} `DATA_KEY_MISSING`, `DATA_KEY_MISMATCH`, `REFUSED`; errors of the client pass through.
 */
export async function releaseDataKey(
  loaded: LoadedManifest,
  keyManager: Pick<KeyManager, "unwrap">,
): Promise<SecretBuffer> {
  const { dataKey } = loaded.manifest;
  if (dataKey.check === undefined) throw missing(loaded);
  const wrapped = readWrapped(loaded);
  let plaintext: SecretBuffer;
  try {
    ({ plaintext } = await keyManager.unwrap({ wrapped, context: dataKeyContext(loaded.manifest) }));
  } catch (error) {
    throw verdictOf(error) === "refused" ? accessRefused(loaded, error) : error;
  }
  if (plaintext.byteLength === dataKeyBytes && keyCheckValue(suites[dataKey.suite], plaintext) === dataKey.check)
    return plaintext;
  plaintext[Symbol.dispose]();
  throw new NodeError(
    "DATA_KEY_MISMATCH",
    `the key manager released a data key that is not the one of ${loaded.manifest.node.name} (its key-check value differs)`,
    { hint: `${loaded.at(dataKey.wrapped)} and ${loaded.file} do not belong together; restore them from one backup` },
  );
}

/** Every "no" reads the same here: which key, grant or policy it was, the key manager's audit log tells its administrators. */
function accessRefused(loaded: LoadedManifest, cause: unknown): NodeError {
  const requestId = typeof cause === "object" && cause !== null && "requestId" in cause ? cause.requestId : undefined;
  const request = typeof requestId === "string" && requestId !== "" ? ` (request ${requestId})` : "";
  return new NodeError("REFUSED", `access refused to the data key of ${loaded.manifest.node.name}${request}`, {
    cause,
    hint: "ask the key manager's administrator: its audit log tells why",
  });
}

/** The wrapped data key, as it is on disk. */
export function readWrapped(loaded: LoadedManifest): Buffer {
  const file = loaded.at(loaded.manifest.dataKey.wrapped);
  const size = statSync(file, { throwIfNoEntry: false })?.size;
  if (size === undefined) throw missing(loaded);
  if (size === 0 || size > maxWrappedBytes)
    throw new NodeError("SEALED_FILE_DAMAGED", `${file} is not a wrapped data key: it has ${size} bytes`);
  return readFileSync(file);
}

/**
 * The data key that a FISCO node works with: 64 printable characters, the hex of 32 bytes of
 * HKDF(data key, no salt, "strongroom/node/fisco-data-key/v1"). The node hashes it and opens its files with the result.
 */
export function fiscoDataKey(suite: Suite, dataKey: SecretBuffer): SecretBuffer {
  using bytes = hkdf(suite, dataKey, noSalt, Buffer.from("strongroom/node/fisco-data-key/v1"), 32);
  return bytes.expose((raw) => {
    const text = Buffer.alloc(64);
    for (const [index, byte] of raw.entries()) {
      text[2 * index] = hexDigit(byte >> 4);
      text[2 * index + 1] = hexDigit(byte & 15);
    }
    return SecretBuffer.take(text);
  });
}

function hexDigit(nibble: number): number {
  return nibble < 10 ? 0x30 + nibble : 0x57 + nibble;
}

function missing(loaded: LoadedManifest): NodeError {
  return new NodeError("DATA_KEY_MISSING", `${loaded.manifest.node.name} has no data key yet`, {
    hint: "enroll the node, then seal a file or make a volume: the data key is made at first use",
  });
}
