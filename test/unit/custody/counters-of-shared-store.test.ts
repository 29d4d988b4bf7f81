import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import type { SecretBuffer } from "../../../src/crypto/secret-buffer.ts";
import type { CounterStanding } from "../../../src/custody/contract/counters.ts";
import { Custody } from "../../../src/custody/custody.ts";
import { dataFiles } from "../../../src/custody/data-files.ts";
import { Journal } from "../../../src/custody/journal.ts";
import { DirectOpener } from "../../../src/custody/opening/opener.ts";
import type { Caller } from "../../../src/custody/service.ts";
import { Authenticator } from "../../../src/custody/state/authenticator.ts";
import { SqliteStore } from "../../../src/custody/store/sqlite.ts";
import { KeySlots } from "../../../src/devices/key-slots.ts";
import { SoftDevice } from "../../../src/devices/soft.ts";
import { TestKeyManager } from "./key-manager.ts";

const at = (value: number, stampOf = value) => ({ value, stamp: stampOf.toString(16).padStart(64, "0") });

/** One of several servers of a store: the folder's lock, which keeps a second one out of a folder, is left aside. */
async function serverOf(dataDir: string, unlock: SecretBuffer): Promise<Custody> {
  const root = await new KeySlots(join(dataDir, dataFiles.slots)).open(unlock);
  const store = new SqliteStore(join(dataDir, dataFiles.store));
  const authenticator = new Authenticator(root);
  const journal = await Journal.load(store, authenticator, { clock: Date.now });
  const release = () => {
    root[Symbol.dispose]();
    authenticator[Symbol.dispose]();
  };
  const device = new SoftDevice(root);
  const parts = { store, journal, authenticator, root, device, opener: new DirectOpener(), release };
  const custody = await Custody.assemble(parts);
  await journal.begin();
  return custody;
}

describe("counters of a store that two servers share", () => {
  let km: TestKeyManager;
  let node: Caller;
  const servers: Custody[] = [];
  before(async () => {
    km = await TestKeyManager.make();
    await km.custody.keys.create(km.admin, { alias: "alias/nodes" });
    node = await km.enrol("node-1", "alias/nodes");
    await km.custody.close();
    for (let count = 0; count < 2; count++) servers.push(await serverOf(km.dataDir, km.unlock));
  });
  after(async () => {
    for (const server of servers) await server.close();
    await km.open();
    await km.end();
  });

  it("let exactly one of two servers advance from the same standing, time after time", async () => {
    const name = "votes";
    let stands: CounterStanding | null = null;
    for (let round = 1; round <= 25; round++) {
      const previous: CounterStanding | null = stands;
      const outcomes: readonly PromiseSettledResult<CounterStanding>[] = await Promise.allSettled(
        servers.map((server, index) =>
          server.counters.advance(node, { name, previous, next: at(round, round * 10 + index) }),
        ),
      );
      const won: readonly CounterStanding[] = outcomes.flatMap((each) =>
        each.status === "fulfilled" ? [each.value] : [],
      );
      const lost = outcomes.flatMap((each) => (each.status === "rejected" ? [each.reason.code] : []));
      assert.deepEqual(lost, ["COUNTER_CONFLICT"], `round ${round}`);
      stands = won[0] ?? null;
      for (const server of servers)
        assert.equal((await server.counters.read(node, name))?.stamp, stands?.stamp, `round ${round}`);
    }
  });

  it("are the same at both as soon as one has answered", async () => {
    const [one, other] = servers;
    await one?.counters.advance(node, { name: "told", previous: null, next: at(1) });
    await other?.counters.advance(node, { name: "told", previous: at(1), next: at(2) });
    assert.deepEqual(await one?.counters.advance(node, { name: "told", previous: at(1), next: at(2) }), at(2));
  });

  it("are refused at one server once the other has revoked the node", async () => {
    const [one, other] = servers;
    assert.ok(one);
    await other?.nodes.revoke(km.admin, "node-1");
    await assert.rejects(one.counters.advance(node, { name: "told", previous: at(2), next: at(3) }), {
      code: "ACCESS_DENIED",
    });
  });
});
