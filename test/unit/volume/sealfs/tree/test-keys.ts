import { createCipheriv, createDecipheriv, createHmac, randomBytes } from "node:crypto";
import type { TreeKeys, TreeZone } from "../../../../../src/volume/sealfs/tree/tree-keys.ts";
import { TestKeys as TestZoneKeys } from "../../../../sealfs/test-keys.ts";

/** Keys of a volume for tests: fixed secrets, AES-256, zones by path pattern. */
export class TestKeys implements TreeKeys {
  readonly rootId: Buffer = Buffer.alloc(16, 7);
  readonly names: "plain" | "encrypted";
  readonly #secret: Buffer;
  readonly #patterns: readonly RegExp[];
  readonly #zones = new Map<string, TreeZone>();
  readonly removed: string[] = [];

  /** @param patterns - Of paths joined by "/": a folder that matches gets a zone of its own. */
  constructor(names: "plain" | "encrypted", patterns: readonly RegExp[] = [], secret: Buffer = Buffer.alloc(32, 1)) {
    this.names = names;
    this.#patterns = patterns;
    this.#secret = secret;
    this.#zones.set("", newZone(Buffer.alloc(16, 2)));
  }

  zoneOf(path: readonly string[]): TreeZone {
    for (let length = path.length; length >= 0; length -= 1) {
      const zone = this.#zones.get(path.slice(0, length).join("/"));
      if (zone !== undefined) return zone;
    }
    throw new Error("there is always the root's zone");
  }

  zoneForNewFolder(path: readonly string[]): TreeZone {
    const joined = path.join("/");
    if (this.#patterns.some((pattern) => pattern.test(joined)) && !this.#zones.has(joined))
      this.#zones.set(joined, newZone(randomBytes(16)));
    return this.zoneOf(path);
  }

  folderRemoved(path: readonly string[]): void {
    this.removed.push(path.join("/"));
    this.#zones.delete(path.join("/"));
  }

  holdsZones(path: readonly string[]): boolean {
    const joined = path.join("/");
    const below = [...this.#zones.keys()].some((zone) => zone === joined || zone.startsWith(`${joined}/`));
    return below || this.#patterns.some((pattern) => pattern.test(joined));
  }

  mac(message: Buffer): Buffer {
    return createHmac("sha256", this.#secret).update(message).digest();
  }

  crypt(iv: Buffer, input: Buffer): Buffer {
    return createCipheriv("aes-256-ctr", this.#secret, iv).update(input);
  }

  seal(associatedData: Buffer, plaintext: Buffer): Buffer {
    const nonce = randomBytes(12);
    const cipher = createCipheriv("aes-256-gcm", this.#secret, nonce).setAAD(associatedData);
    const body = Buffer.concat([cipher.update(plaintext), cipher.final()]);
    return Buffer.concat([nonce, cipher.getAuthTag(), body]);
  }

  open(associatedData: Buffer, sealed: Buffer): Buffer | undefined {
    if (sealed.length < 28) return undefined;
    const decipher = createDecipheriv("aes-256-gcm", this.#secret, sealed.subarray(0, 12), { authTagLength: 16 });
    decipher.setAAD(associatedData).setAuthTag(sealed.subarray(12, 28));
    try {
      return Buffer.concat([decipher.update(sealed.subarray(28)), decipher.final()]);
    } catch {
      return undefined;
    }
  }
}

function newZone(zoneId: Buffer): TreeZone {
  return { zoneId, keys: new TestZoneKeys("a zone's secret", zoneId) };
}
