import { hkdfSync } from "node:crypto";
import { closeSync, readSync } from "node:fs";
import { callFisco, FiscoClientError } from "../../client/fisco-client.ts";
import { SecretBuffer } from "../../crypto/secret-buffer.ts";
import type { ChainNodeConfig } from "../build/config-reader.ts";
import { readAddress } from "../net/address.ts";
import { ChainNodeError } from "./errors.ts";

export const storeKeyBytes = 32;
const maxDataKeyCharacters = 4096;

/**
 * The store's data key: from a launch by its descriptor, or, with `[storage_security] enable=true`, of the key manager's
 * FISCO door (or the sidecar of a launch), asked as FISCO BCOS asks. Undefined when the chain is not to be encrypted.
 *
 * A data key of FISCO's has any length; the store's key is HKDF-SHA-256 of it, info `"strongroom/chain/store/v1"`.
 *
 * @returns The caller disposes of it.
 * @throws {ChainNodeError} `KEY_MANAGER_REFUSED`, `KEY_MANAGER_UNREACHABLE`, `CONFIG_UNUSABLE`.
 */
export async function storeKey(
  { storageSecurity }: Pick<ChainNodeConfig, "storageSecurity">,
  descriptor: number | undefined,
): Promise<SecretBuffer | undefined> {
  if (descriptor !== undefined) return readDescriptor(descriptor);
  const { enable, keyCenterUrl, cipherDataKey } = storageSecurity;
  if (!enable) return undefined;
  if (keyCenterUrl === undefined || cipherDataKey === undefined)
    throw new ChainNodeError("CONFIG_UNUSABLE", "storage_security needs key_center_url and cipher_data_key");
  const { host, port } = readAddress(keyCenterUrl);
  let hex: Buffer;
  try {
    hex = await callFisco({ host, port, timeoutMs: 10_000 }, "decDataKey", [Buffer.from(cipherDataKey)]);
  } catch (error) {
    if (!(error instanceof FiscoClientError)) throw error;
    const code = error.code === "UNREACHABLE" ? "KEY_MANAGER_UNREACHABLE" : "KEY_MANAGER_REFUSED";
    throw new ChainNodeError(code, `${keyCenterUrl}: ${error.message}`, error);
  }
  try {
    return derived(hex);
  } finally {
    hex.fill(0);
  }
}

/** 32 bytes, handed over by a launch as `{fd:volume}`. */
function readDescriptor(descriptor: number): SecretBuffer {
  const bytes = Buffer.allocUnsafeSlow(storeKeyBytes + 1);
  try {
    let length = 0;
    for (let got = -1; got !== 0 && length < bytes.length; length += got)
      got = readSync(descriptor, bytes, length, bytes.length - length, null);
    if (length !== storeKeyBytes)
      throw new ChainNodeError(
        "CONFIG_UNUSABLE",
        `descriptor ${descriptor} does not hold a store key of ${storeKeyBytes} bytes`,
      );
    return SecretBuffer.copyOf(bytes.subarray(0, storeKeyBytes));
  } catch (cause) {
    if (cause instanceof ChainNodeError) throw cause;
    throw new ChainNodeError(
      "CONFIG_UNUSABLE",
      `descriptor ${descriptor} cannot be read: start the node by \`strongroom node launch\``,
      cause,
    );
  } finally {
    bytes.fill(0);
    closeQuietly(descriptor);
  }
}

function derived(hex: Buffer): SecretBuffer {
  if (hex.length === 0 || hex.length > maxDataKeyCharacters || hex.length % 2 !== 0 || !isHex(hex))
    throw new ChainNodeError("KEY_MANAGER_REFUSED", "what the key manager answered is not a data key");
  const dataKey = Buffer.allocUnsafeSlow(hex.length / 2);
  for (let at = 0; at < dataKey.length; at++)
    dataKey[at] = nibble(hex.readUInt8(at * 2)) * 16 + nibble(hex.readUInt8(at * 2 + 1));
  const key = Buffer.from(hkdfSync("sha256", dataKey, Buffer.alloc(0), "strongroom/chain/store/v1", storeKeyBytes));
  dataKey.fill(0);
  return SecretBuffer.take(key);
}

function isHex(text: Buffer): boolean {
  return text.every((byte) => nibble(byte) >= 0);
}

function nibble(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}

function closeQuietly(descriptor: number): void {
  try {
    closeSync(descriptor);
  } catch {
    // It was never open.
  }
}
