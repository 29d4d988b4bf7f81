import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  type CounterClient,
  connectCounter,
  counterName,
  keyManagerCounter,
} from "../../../../src/chain/node/guard-counter.ts";
import { ClientError, type ClientErrorCode } from "../../../../src/client/errors.ts";
import { NodeFolder } from "../../node/fake-key-manager.ts";

const stamp = Buffer.alloc(32, 7);
const hex = stamp.toString("hex");
const state = Buffer.alloc(32, 3);

/** A key manager's client that answers or fails as it is told, and remembers what it was asked. */
class FakeClient implements CounterClient {
  readonly asked: unknown[] = [];
  counter: { value: number; stamp: string } | null = null;
  failure: Error | undefined;
  isClosed = false;

  async advanceCounter(input: Parameters<CounterClient["advanceCounter"]>[0]) {
    this.asked.push(input);
    if (this.failure !== undefined) throw this.failure;
    return input.next;
  }

  async readCounter(name: string) {
    this.asked.push(name);
    if (this.failure !== undefined) throw this.failure;
    return this.counter;
  }

  close(): void {
    this.isClosed = true;
  }
}

describe("a guard's counter at the key manager", () => {
  it("has a name of its own for each chain and key, which the key manager takes", () => {
    assert.match(counterName(state), /^[a-z0-9][a-z0-9._:/-]{0,127}$/);
    assert.notEqual(counterName(state), counterName(Buffer.alloc(32, 4)));
  });

  it("is asked by that name, with stamps in hexadecimal", async () => {
    const client = new FakeClient();
    const counter = keyManagerCounter(client, "name");
    assert.equal(await counter.read(), undefined);
    assert.equal(await counter.advance(undefined, { value: 2, stamp }), "advanced");
    await counter.advance({ value: 2, stamp }, { value: 3, stamp });
    client.counter = { value: 3, stamp: hex };
    assert.deepEqual(await counter.read(), { value: 3, stamp });
    assert.deepEqual(client.asked, [
      "name",
      { name: "name", previous: null, next: { value: 2, stamp: hex } },
      { name: "name", previous: { value: 2, stamp: hex }, next: { value: 3, stamp: hex } },
      "name",
    ]);
    counter.close();
    assert.ok(client.isClosed);
  });

  it("tells a conflict from a no and from no answer", async () => {
    const client = new FakeClient();
    const counter = keyManagerCounter(client, "name");
    client.failure = new ClientError("CONFLICT", "it stands elsewhere", {
      serverCode: "COUNTER_CONFLICT",
      status: 409,
    });
    assert.equal(await counter.advance(undefined, { value: 1, stamp }), "conflict");
    const expected: Readonly<Record<ClientErrorCode, { readonly code: string; readonly exitCode: number }>> = {
      REFUSED: { code: "KEY_MANAGER_REFUSED", exitCode: 3 },
      CONFLICT: { code: "KEY_MANAGER_REFUSED", exitCode: 3 },
      NOT_FOUND: { code: "KEY_MANAGER_REFUSED", exitCode: 3 },
      REQUEST_INVALID: { code: "KEY_MANAGER_REFUSED", exitCode: 3 },
      UNREACHABLE: { code: "KEY_MANAGER_UNREACHABLE", exitCode: 4 },
      SERVER: { code: "KEY_MANAGER_UNREACHABLE", exitCode: 4 },
      BAD_ANSWER: { code: "KEY_MANAGER_UNREACHABLE", exitCode: 4 },
      INTEGRITY: { code: "KEY_MANAGER_UNREACHABLE", exitCode: 4 },
    };
    for (const [code, failure] of Object.entries(expected)) {
      client.failure = new ClientError(code as ClientErrorCode, "why");
      await assert.rejects(counter.advance(undefined, { value: 1, stamp }), failure, code);
      await assert.rejects(counter.read(), failure, code);
    }
    client.failure = new TypeError("a mistake of the program is not the key manager's");
    await assert.rejects(counter.read(), TypeError);
  });

  it("that is answered with what is no counter counts as not answered", async () => {
    const client = new FakeClient();
    const counter = keyManagerCounter(client, "name");
    for (const answer of [
      { value: 0, stamp: hex },
      { value: 1.5, stamp: hex },
      { value: 2 ** 53, stamp: hex },
      { value: 1, stamp: hex.slice(2) },
      { value: 1, stamp: `${hex.slice(2)}XX` },
    ]) {
      client.counter = answer;
      await assert.rejects(counter.read(), { code: "KEY_MANAGER_UNREACHABLE" });
    }
  });
});

describe("the manifest that names the key manager of a guard's counter", () => {
  const unusable = (message: RegExp) => ({ code: "CONFIG_UNUSABLE", exitCode: 2, message });

  it("must be there, and be one", async () => {
    using folder = new NodeFolder();
    await assert.rejects(
      connectCounter(folder.at("node.toml"), state),
      unusable(/guard_counter: there is no node mani/),
    );
    folder.write("node.toml", "this is not a manifest");
    await assert.rejects(connectCounter(folder.at("node.toml"), state), unusable(/not TOML/));
  });

  it("must name a Strongroom: a KMS keeps no counters, and no key manager neither", async () => {
    using folder = new NodeFolder();
    const node = '[node]\nname = "node-1"\nkind = "generic"\nnetwork = "test-net"\n';
    folder.write("node.toml", `${node}[kms]\nintegration = "aws"\nstore = "/nowhere"\n`);
    await assert.rejects(connectCounter(folder.at("node.toml"), state), unusable(/names a KMS, which has no counters/));
    folder.write("node.toml", `${node}protection = "none"\n`);
    await assert.rejects(connectCounter(folder.at("node.toml"), state), unusable(/protection is none/));
  });

  it("must belong to a node that is enrolled", async () => {
    using folder = new NodeFolder();
    folder.manifest("generic");
    await assert.rejects(connectCounter(folder.at("node.toml"), state), unusable(/no client key at/));
  });
});
