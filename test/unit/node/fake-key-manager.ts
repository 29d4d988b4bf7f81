import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Context } from "../../../src/crypto/context.ts";
import { openBox, sealBox } from "../../../src/crypto/sealed-box.ts";
import { SecretBuffer } from "../../../src/crypto/secret-buffer.ts";
import { suites } from "../../../src/crypto/suite.ts";
import type { KeyManager } from "../../../src/node/key-manager.ts";
import type { NodeKind } from "../../../src/node/manifest.ts";
import { type LoadedManifest, loadManifest } from "../../../src/node/manifest-reader.ts";
import { type NewManifest, newManifestText } from "../../../src/node/manifest-writer.ts";

const keyId = "00000000-0000-4000-8000-00000000fa4e";

/** An error with the code that `ClientError` would carry. */
export class FakeFailure extends Error {
  readonly code: string;
  readonly exitCode: number;

  constructor(code: "REFUSED" | "UNREACHABLE" | "SERVER", exitCode: number) {
    super(`the fake key manager says ${code}`);
    this.code = code;
    this.exitCode = exitCode;
  }
}

/**
 * A fake key manager: one master key in memory, real sealed boxes, no policy, no network. What it answers is set by
 * `mood`, or by the text in `moodFile` when there is one, so that another process can change its mind.
 */
export class FakeKeyManager implements KeyManager {
  mood: "agree" | "refuse" | "unreachable" | "fail" | "other-key" = "agree";
  asked = 0;
  readonly contexts: Context[] = [];
  readonly #master: SecretBuffer;
  readonly #moodFile: string | undefined;

  constructor({ master = SecretBuffer.random(32), moodFile }: { master?: SecretBuffer; moodFile?: string } = {}) {
    this.#master = master;
    this.#moodFile = moodFile;
  }

  async generateDataKey({ context, bytes = 32 }: { key: string; context: Context; bytes?: number }) {
    this.#answer();
    using plaintext = SecretBuffer.random(bytes);
    const header = { suite: suites.intl, type: "dataKey", keyId, keyVersion: 1, deviceAlgorithm: 1 } as const;
    const wrapped = plaintext.expose((raw) =>
      sealBox({ ...header, deviceBlob: Buffer.alloc(0) }, this.#master, context, raw),
    );
    return { keyId, keyVersion: 1, wrapped };
  }

  async unwrap({ wrapped, context }: { wrapped: Uint8Array; context: Context }) {
    this.#answer();
    this.contexts.push(context);
    const plaintext = openBox(wrapped, "dataKey", this.#master, context);
    if (this.mood !== "other-key") return { keyId, keyVersion: 1, plaintext };
    plaintext[Symbol.dispose]();
    return { keyId, keyVersion: 1, plaintext: SecretBuffer.random(32) };
  }

  close(): void {}

  #answer(): void {
    this.asked += 1;
    if (this.#moodFile !== undefined && existsSync(this.#moodFile))
      this.mood = readFileSync(this.#moodFile, "utf8").trim() as FakeKeyManager["mood"];
    if (this.mood === "refuse") throw new FakeFailure("REFUSED", 3);
    if (this.mood === "unreachable") throw new FakeFailure("UNREACHABLE", 4);
    if (this.mood === "fail") throw new FakeFailure("SERVER", 1);
  }
}

/** A node's folder for one test, removed with it. */
export class NodeFolder implements Disposable {
  readonly path: string = mkdtempSync(join(tmpdir(), "strongroom-node-test-"));

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }

  at(name: string): string {
    return join(this.path, name);
  }

  write(name: string, content: string | Uint8Array): string {
    writeFileSync(this.at(name), content, { mode: 0o600 });
    return this.at(name);
  }

  /** Writes a manifest, with text added at its end. */
  manifest(kind: NodeKind, more: Partial<NewManifest> = {}, added = ""): LoadedManifest {
    const text = newManifestText({
      name: "node-1",
      kind,
      network: "test-net",
      servers: ["https://127.0.0.1:1"],
      masterKey: "alias/nodes",
      identity: { kind: "file", folder: "identity" },
      ...more,
    });
    this.write("node.toml", text + added);
    return loadManifest(this.path);
  }
}
