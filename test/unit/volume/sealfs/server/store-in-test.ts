import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { SecretBuffer } from "../../../../../src/crypto/secret-buffer.ts";
import type { ZoneRule } from "../../../../../src/volume/sealfs/keys/rules.ts";
import { makeSealedStore } from "../../../../../src/volume/sealfs/server/make-store.ts";
import { OpenedVolume } from "../../../../../src/volume/sealfs/server/opened-volume.ts";

/** A store that is opened in this process, and copied while it is open as a kill would leave it. */
export class StoreInTest {
  readonly folder: string;
  readonly told: string[] = [];
  readonly #key = SecretBuffer.take(Buffer.alloc(32, 7));
  readonly #t: TestContext;

  private constructor(t: TestContext, from?: StoreInTest) {
    this.#t = t;
    const parent = mkdtempSync(join(tmpdir(), "strongroom-store-"));
    this.folder = join(parent, "store");
    if (from !== undefined) cpSync(from.folder, this.folder, { recursive: true, preserveTimestamps: true });
    t.after(() => {
      this.#key[Symbol.dispose]();
      rmSync(parent, { recursive: true, force: true });
    });
  }

  /** @param rules - For the zones of its folders. */
  static async make(t: TestContext, rules: readonly ZoneRule[] = []): Promise<StoreInTest> {
    const made = new StoreInTest(t);
    await makeSealedStore(made.#handover(), made.#key, { rules });
    return made;
  }

  /** The store's own key, which stays its own. */
  get tableKey(): SecretBuffer {
    return this.#key;
  }

  open(purpose: "serve" | "check" = "serve"): Promise<OpenedVolume> {
    return OpenedVolume.open(this.#handover(), this.#key, (what) => void this.told.push(what), purpose);
  }

  killed(): StoreInTest {
    return new StoreInTest(this.#t, this);
  }

  #handover() {
    return {
      store: this.folder,
      mountPoint: "/",
      volumeId: "00010203-0405-0607-0809-0a0b0c0d0e0f",
      suite: "intl" as const,
      layout: { blockBytes: 4096, integrity: "tree" as const },
      names: "plain" as const,
    };
  }
}
