import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from "node:crypto";
import type { BlockCipher } from "../../src/volume/sealfs/block-cipher.ts";
import { FsError } from "../../src/volume/sealfs/fs-error.ts";
import type { ZoneKeys } from "../../src/volume/sealfs/stored-file.ts";

/** AES-256-GCM, by node:crypto, as a file's cipher in tests. */
class TestCipher implements BlockCipher {
  readonly #key: Buffer;

  constructor(key: Buffer) {
    this.#key = key;
  }

  seal(associatedData: Buffer, plaintext: Buffer, sealed: Buffer): void {
    if (sealed.length !== plaintext.length + 28) throw new RangeError("no room for what is sealed");
    const nonce = randomBytes(12);
    const cipher = createCipheriv("aes-256-gcm", this.#key, nonce).setAAD(associatedData);
    nonce.copy(sealed);
    cipher.update(plaintext).copy(sealed, 28);
    cipher.final();
    cipher.getAuthTag().copy(sealed, 12);
  }

  open(associatedData: Buffer, sealed: Buffer, plaintext: Buffer): boolean {
    if (sealed.length !== plaintext.length + 28) throw new RangeError("no room for what is opened");
    const decipher = createDecipheriv("aes-256-gcm", this.#key, sealed.subarray(0, 12)).setAAD(associatedData);
    decipher.setAuthTag(sealed.subarray(12, 28));
    decipher.update(sealed.subarray(28)).copy(plaintext);
    try {
      decipher.final();
      return true;
    } catch {
      plaintext.fill(0);
      return false;
    }
  }

  [Symbol.dispose](): void {
    this.#key.fill(0);
  }
}

/** The keys of a zone in tests: `generation` may be raised, generations may be destroyed or be without an answer, and ciphers made are counted. */
export class TestKeys implements ZoneKeys {
  readonly zoneId: Buffer;
  readonly #secret: Buffer;
  generation = 1;
  readonly destroyed = new Set<number>();
  /** Generations that are there, and that whoever holds the master key does not open. */
  readonly unanswered = new Set<number>();
  ciphersMade = 0;

  constructor(secret = "a zone's secret", zoneId: Buffer = Buffer.alloc(16, 0x5a)) {
    this.#secret = Buffer.from(secret);
    this.zoneId = zoneId;
  }

  fileCipher(generation: number, fileId: Buffer, epoch: Buffer): BlockCipher {
    if (generation > this.generation || generation < 1 || this.destroyed.has(generation))
      throw new FsError("ENOKEY", "no such generation", { cause: { code: "GENERATION_ABSENT" } });
    if (this.unanswered.has(generation))
      throw new FsError("ENOKEY", "nobody answers", { cause: { code: "PRIVATE_KEY_ABSENT" } });
    this.ciphersMade += 1;
    const info = Buffer.concat([fileId, epoch, Buffer.from([generation])]);
    return new TestCipher(Buffer.from(hkdfSync("sha256", this.#secret, Buffer.alloc(0), info, 32)));
  }

  /** As `openSealedFile` asks for the keys of a zone. */
  readonly of = (zoneId: Buffer): ZoneKeys => {
    if (!zoneId.equals(this.zoneId)) throw new FsError("ENOKEY", "no such zone");
    return this;
  };
}
