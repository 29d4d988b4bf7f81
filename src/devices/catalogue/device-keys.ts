import type { CryptoDevice } from "../device.ts";
import { DeviceError } from "../errors.ts";
import type { DeviceEntry } from "./entry.ts";
import { type Catalogue, membersOf } from "./read.ts";

/** A key that is in a card or token, for people. */
export interface ListedKey {
  /** How `--key-index` or `--key-id` names it. */
  readonly name: string;
  readonly kind: string;
  readonly label: string;
  /** What it is for. */
  readonly usages: readonly string[];
  /** SubjectPublicKeyInfo of a signing key pair, DER. */
  readonly spki: Buffer | null;
}

/**
 * The keys of an open device: of a card those of the indices that its entry names, as GM/T 0018 has no list; of a token all.
 *
 * @throws {DeviceError} `DEVICE_UNSUPPORTED` for a device of another kind.
 */
export async function listDeviceKeys(
  catalogue: Pick<Catalogue, "entries" | "file">,
  entry: DeviceEntry,
  device: CryptoDevice,
): Promise<readonly ListedKey[]> {
  const [member] = membersOf(catalogue, entry.name);
  if (member?.kind === "sdf") return await Promise.all(member.key_indices.map((keyIndex) => cardKey(device, keyIndex)));
  const { Pkcs11Device } = await import("../pkcs11/device.ts");
  if (!(device instanceof Pkcs11Device))
    throw new DeviceError("DEVICE_UNSUPPORTED", `a device of kind ${entry.kind} lists no keys`);
  const { token } = device;
  const keys = await token.list();
  return await Promise.all(
    keys.map(async ({ id, label, kind, curve, usages }) => ({
      name: `id:${id}`,
      kind: curve ?? kind,
      label,
      usages,
      spki: curve === undefined ? null : (await token.publicKey(Buffer.from(id, "hex"))).spki,
    })),
  );
}

/** Asks for the public key as a new master key would: nothing is made by it. */
async function cardKey(device: CryptoDevice, keyIndex: number): Promise<ListedKey> {
  const key = { keyId: crypto.randomUUID(), version: 1, suite: "sm", spec: "SM2", usage: "sign" } as const;
  const { spki } = await device.createSpecifiedKey(key, { keyIndex });
  return { name: String(keyIndex), kind: "SM2", label: "", usages: ["sign", "encrypt"], spki };
}
