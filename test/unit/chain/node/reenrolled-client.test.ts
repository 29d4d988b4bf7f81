import assert from "node:assert/strict";
import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import type { CounterClient } from "../../../../src/chain/node/guard-counter.ts";
import { ReenrolledClient } from "../../../../src/chain/node/reenrolled-client.ts";
import { ClientError, type ClientErrorCode } from "../../../../src/client/errors.ts";

const stands = { value: 3, stamp: "00".repeat(32) };
const refused = { code: "REFUSED" };

/** A node's identity on its disk, and a key manager that knows one identity alone. */
class Enrolment implements Disposable {
  readonly #folder = mkdtempSync(join(tmpdir(), "strongroom-reenrolled-"));
  readonly identityFile: string = join(this.#folder, "key.pem");
  readonly patienceMs: number;
  /** In place of an answer. */
  failure: ClientErrorCode | undefined;
  connected = 0;
  closed = 0;
  asked = 0;
  /** The connection, by its number, that the key manager knows. */
  known = 1;

  constructor(patienceMs = 10_000) {
    this.patienceMs = patienceMs;
    this.write();
  }

  write(): void {
    writeFileSync(`${this.identityFile}.new`, "key");
    renameSync(`${this.identityFile}.new`, this.identityFile);
  }

  async connect(): Promise<CounterClient> {
    this.connected += 1;
    const number = this.connected;
    const answer = async () => {
      this.asked += 1;
      if (this.failure !== undefined) throw new ClientError(this.failure);
      if (number !== this.known) throw new ClientError("REFUSED", undefined, { serverCode: "UNAUTHENTICATED" });
      return stands;
    };
    return {
      advanceCounter: answer,
      readCounter: answer,
      close: () => {
        this.closed += 1;
      },
    };
  }

  client(): Promise<ReenrolledClient> {
    const { identityFile, patienceMs } = this;
    return ReenrolledClient.connect({ identityFile, patienceMs, connect: () => this.connect() });
  }

  [Symbol.dispose](): void {
    rmSync(this.#folder, { recursive: true });
  }
}

describe("the client of a node that is enrolled again while it runs", () => {
  it("asks once more with the new identity, and goes on with it", async () => {
    using enrolment = new Enrolment();
    const client = await enrolment.client();
    assert.deepEqual(await client.readCounter("name"), stands);
    enrolment.known = 2;
    enrolment.write();
    const previous = null;
    assert.deepEqual(await client.advanceCounter({ name: "name", previous, next: stands }), stands);
    assert.deepEqual([enrolment.asked, enrolment.connected, enrolment.closed], [3, 2, 1]);
    await client.readCounter("name");
    assert.equal(enrolment.asked, 4);
    client.close();
    assert.equal(enrolment.closed, 2);
  });

  it("waits for an identity that the key manager knows already and the disk does not", async () => {
    using enrolment = new Enrolment();
    const client = await enrolment.client();
    enrolment.known = 2;
    const answer = client.readCounter("name");
    await pause(20);
    enrolment.write();
    assert.deepEqual(await answer, stands);
  });

  it("is refused when the identity is the same, or the new one is refused too", async () => {
    using enrolment = new Enrolment(50);
    const client = await enrolment.client();
    enrolment.failure = "REFUSED";
    await assert.rejects(client.readCounter("name"), refused);
    assert.deepEqual([enrolment.asked, enrolment.connected], [1, 1]);
    enrolment.write();
    await assert.rejects(client.readCounter("name"), refused);
    assert.deepEqual([enrolment.asked, enrolment.connected], [3, 2]);
  });

  it("waits no more once it is closed, nor where the identity is gone", async () => {
    using enrolment = new Enrolment(600_000);
    const client = await enrolment.client();
    enrolment.failure = "REFUSED";
    rmSync(enrolment.identityFile);
    const answer = assert.rejects(client.readCounter("name"), refused);
    await pause(20);
    client.close();
    await answer;
    assert.equal(enrolment.connected, 1);
  });

  it("takes nothing but a refusal for a sign of a new identity", async () => {
    using enrolment = new Enrolment(600_000);
    const client = await enrolment.client();
    enrolment.write();
    for (const code of ["UNREACHABLE", "CONFLICT", "SERVER", "INTEGRITY", "NOT_FOUND"] as const) {
      enrolment.failure = code;
      await assert.rejects(client.readCounter("name"), { code });
    }
    assert.equal(enrolment.connected, 1);
  });
});
