import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SecretBuffer } from "../../../src/crypto/secret-buffer.ts";
import { initCustody, openCustody } from "../../../src/custody/open.ts";
import type { Caller, Checkpoint, CustodyService } from "../../../src/custody/service.ts";

/** A real key manager in a temporary folder, with a clock that a test can set. */
export class TestKeyManager {
  readonly dataDir: string;
  readonly unlock: SecretBuffer = SecretBuffer.random(32);
  nowMs = Date.parse("2026-11-21T12:00:00Z");
  custody!: CustodyService;

  constructor() {
    this.dataDir = join(mkdtempSync(join(tmpdir(), "strongroom-custody-")), "km");
  }

  static async make(suite: "intl" | "sm" = "intl"): Promise<TestKeyManager> {
    const manager = new TestKeyManager();
    const { dataDir, unlock } = manager;
    await initCustody({ dataDir, unlock, slotKind: "key-file", suite, clock: () => manager.nowMs });
    await manager.open();
    return manager;
  }

  async open(checkpoint?: Checkpoint): Promise<CustodyService> {
    const options = { dataDir: this.dataDir, unlock: this.unlock, clock: () => this.nowMs };
    this.custody = await openCustody(checkpoint === undefined ? options : { ...options, checkpoint });
    return this.custody;
  }

  async restart(): Promise<void> {
    await this.custody.close();
    await this.open();
  }

  get admin(): Caller {
    return {
      principal: this.custody.identity.localAdministrator,
      door: "local",
      peer: "unix:uid=0",
      requestId: "test",
    };
  }

  as(arn: string): Caller {
    return { principal: arn, door: "native", peer: "127.0.0.1", requestId: "test" };
  }

  /** Enrols a node for a key and gives its caller. */
  async enrol(name: string, key: string): Promise<Caller> {
    const { token } = await this.custody.nodes.createToken(this.admin, { name, key, identity: "file" });
    using secret = token;
    const node = await this.custody.nodes.redeemToken(
      { door: "native", peer: "127.0.0.1", requestId: "test" },
      { name, token: secret, spkiSha256: Buffer.from(name.padEnd(32, "x")), notAfter: "2030-01-01T00:00:00.000Z" },
    );
    return this.as(node.arn);
  }

  async user(name: string, role: "administrator" | "auditor" | "operator" | "key-user"): Promise<Caller> {
    return this.as((await this.custody.principals.create(this.admin, { name, kind: "user", role })).arn);
  }

  async end(): Promise<void> {
    await this.custody.close();
    rmSync(join(this.dataDir, ".."), { recursive: true });
  }
}
