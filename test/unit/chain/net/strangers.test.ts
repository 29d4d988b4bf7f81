import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import type { Socket } from "node:net";
import { describe, it } from "node:test";
import { maxStrangers, maxStrangersOfOneAddress, Strangers } from "../../../../src/chain/net/strangers.ts";

/** As much of a connection as is counted. */
class TestConnection extends EventEmitter {
  readonly remoteAddress: string;
  readonly remotePort: number;
  destroyed = false;

  constructor(remoteAddress: string, remotePort: number) {
    super();
    this.remoteAddress = remoteAddress;
    this.remotePort = remotePort;
  }

  destroy(): void {
    this.destroyed = true;
    this.emit("close");
  }
}

function added(strangers: Strangers, address: string, port: number): TestConnection {
  const connection = new TestConnection(address, port);
  strangers.add(connection as unknown as Socket);
  return connection;
}

describe("strangers", () => {
  it("of one address lose their oldest when they are too many", () => {
    const strangers = new Strangers();
    const other = added(strangers, "192.0.2.2", 1);
    const many = Array.from({ length: maxStrangersOfOneAddress + 2 }, (_, port) => added(strangers, "192.0.2.1", port));
    assert.deepEqual(
      many.map(({ destroyed }) => destroyed),
      many.map((_, index) => index < 2),
    );
    assert.equal(other.destroyed, false);
  });

  it("of all addresses lose the oldest of the address that has the most, not the newest or a lone one", () => {
    const strangers = new Strangers();
    const lone = added(strangers, "192.0.2.1", 1);
    const many = Array.from({ length: maxStrangers - 1 }, (_, index) =>
      added(strangers, `198.51.100.${index % 5}`, index),
    );
    assert.ok(!many.some(({ destroyed }) => destroyed));
    const node = added(strangers, "192.0.2.9", 1);
    assert.deepEqual([lone.destroyed, node.destroyed], [false, false]);
    assert.equal(many.filter(({ destroyed }) => destroyed).length, 1);
    assert.equal(strangers.count, maxStrangers);
  });

  it("are no longer counted once they have ended or proved themselves", () => {
    const strangers = new Strangers();
    const ended = added(strangers, "192.0.2.1", 1);
    ended.emit("close");
    const proved = added(strangers, "192.0.2.1", 2);
    strangers.release(proved);
    assert.equal(strangers.count, 0);
    for (let port = 3; port < 3 + maxStrangersOfOneAddress; port++) added(strangers, "192.0.2.1", port);
    assert.equal(proved.destroyed, false);
  });

  it("that come again from a place that was closed late are counted by themselves", () => {
    const strangers = new Strangers();
    const first = added(strangers, "192.0.2.1", 1);
    added(strangers, "192.0.2.1", 1);
    first.emit("close");
    assert.equal(strangers.count, 1);
    strangers.endAll();
    assert.equal(strangers.count, 0);
  });
});
