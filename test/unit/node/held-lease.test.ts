import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { LeaseStatement } from "../../../src/client/protocol.ts";
import { SecretBuffer } from "../../../src/crypto/secret-buffer.ts";
import { HeldLease } from "../../../src/node/held-lease.ts";
import type { KeyManager } from "../../../src/node/key-manager.ts";
import { FakeFailure } from "./fake-key-manager.ts";

const input = { wrapped: Buffer.from("box"), context: { node: "node-1" } };

/** Notes what a launcher says of its lease. */
class Listening implements KeyManager {
  readonly said: (LeaseStatement | undefined)[] = [];
  readonly released: string[] = [];
  mood: "agree" | "REFUSED" | "UNREACHABLE" = "agree";
  answered: Promise<void> = Promise.resolve();

  generateDataKey(): Promise<never> {
    return Promise.reject(new FakeFailure("SERVER", 1));
  }
  async unwrap({ lease }: Parameters<KeyManager["unwrap"]>[0]) {
    this.said.push(lease);
    await this.answered;
    if (this.mood !== "agree") throw new FakeFailure(this.mood, 3);
    return { keyId: "key", keyVersion: 1, plaintext: SecretBuffer.random(32) };
  }
  async releaseLease(launch: string): Promise<void> {
    this.released.push(launch);
    if (this.mood !== "agree") throw new FakeFailure(this.mood, 3);
  }
  close(): void {}
}

async function ask(held: HeldLease): Promise<void> {
  (await held.unwrap(input)).plaintext[Symbol.dispose]();
}

describe("a launcher's lease", () => {
  it("is not released when no key was", async () => {
    const manager = new Listening();
    const held = new HeldLease(manager, 10);
    manager.mood = "REFUSED";
    await assert.rejects(ask(held), { code: "REFUSED" });
    manager.mood = "UNREACHABLE";
    await assert.rejects(ask(held), { code: "UNREACHABLE" });
    await held.release();
    assert.deepEqual(manager.released, []);
  });

  it("is not released to a key manager that has taken it away", async () => {
    const manager = new Listening();
    const held = new HeldLease(manager, 10);
    await ask(held);
    manager.mood = "REFUSED";
    await assert.rejects(ask(held), { code: "REFUSED" });
    await held.release();
    assert.deepEqual(manager.released, []);
  });

  it("ends without an error when the key manager does not take the word, or knows no such operation", async () => {
    const manager = new Listening();
    const held = new HeldLease(manager, 10);
    await ask(held);
    manager.mood = "UNREACHABLE";
    await held.release();
    assert.equal(manager.released.length, 1);
    const kms: KeyManager = {
      generateDataKey: manager.generateDataKey,
      unwrap: (it) => manager.unwrap(it),
      close() {},
    };
    manager.mood = "agree";
    const overKms = new HeldLease(kms, 10);
    await ask(overKms);
    await overKms.release();
    assert.equal(manager.released.length, 1);
  });

  it("is not waited for longer than a stop may take", async (t) => {
    const manager = new Listening();
    const held = new HeldLease(manager, 10);
    await ask(held);
    t.mock.timers.enable({ apis: ["setTimeout"] });
    manager.releaseLease = () => new Promise<void>(() => {});
    const released = held.release();
    t.mock.timers.tick(2000);
    await released;
  });

  it("is released after the check that is on its way, so that nothing comes later", async () => {
    const manager = new Listening();
    const held = new HeldLease(manager, 10);
    const { promise, resolve } = Promise.withResolvers<void>();
    manager.answered = promise;
    const asked = ask(held);
    const released = held.release();
    await new Promise(setImmediate);
    assert.deepEqual(manager.released, []);
    resolve();
    await asked;
    await released;
    assert.deepEqual(manager.released, [manager.said[0]?.launch]);
  });

  it("is stated with each unwrap under one name, another for each launch, and released once", async () => {
    const manager = new Listening();
    const [one, other] = [new HeldLease(manager, 10), new HeldLease(manager, 20)];
    for (const held of [one, one, other]) await ask(held);
    const [first, second, third] = manager.said;
    assert.deepEqual([first?.seconds, third?.seconds], [10, 20]);
    assert.deepEqual(second, first);
    assert.notEqual(third?.launch, first?.launch);
    await one.release();
    await one.release();
    assert.deepEqual(manager.released, [first?.launch]);
  });
});
