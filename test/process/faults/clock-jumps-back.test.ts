import assert from "node:assert/strict";
import { after, before, beforeEach, describe, it } from "node:test";
import type { KeyManagerClient } from "../../../src/client/client.ts";
import { type Enrolment, enroll } from "../../../src/client/enroll.ts";
import { TestKeyManager } from "../../unit/custody/key-manager.ts";
import { type RunningKeyManager, startKeyManager } from "../../unit/server/running-key-manager.ts";

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;

describe("a server whose clock jumps back an hour", () => {
  let manager: RunningKeyManager;
  let key: string;
  before(async () => {
    manager = await startKeyManager();
    key = (await manager.admin.keys.create({ alias: "alias/nodes" })).keyId;
  });
  after(() => manager[Symbol.asyncDispose]());
  beforeEach(() => {
    manager.clock.offsetMs = 0;
  });

  /** A node that was enrolled three hours ago. */
  async function enrolledEarlier(name: string, forKey?: string): Promise<Enrolment> {
    manager.clock.offsetMs = -3 * hourMs;
    const enrolment = await manager.enrolled(name, forKey);
    manager.clock.offsetMs = 0;
    return enrolment;
  }

  /** The clock as it was `forwardMs` from now when a request was answered, then an hour before now. */
  async function forwardAndBack(forwardMs: number): Promise<void> {
    manager.clock.offsetMs = forwardMs;
    await manager.admin.keys.list();
    manager.clock.offsetMs = -hourMs;
  }

  it("goes on answering, and still revokes at once", async () => {
    using node = manager.clientOf(await enrolledEarlier("steady", key));
    const context = { node: "steady" };
    const { wrapped } = await node.generateDataKey({ key, context });
    manager.clock.offsetMs = -hourMs;
    using opened = (await node.unwrap({ wrapped, context })).plaintext;
    assert.equal(opened.byteLength, 32);
    await manager.admin.nodes.revoke("steady");
    await assert.rejects(() => node.unwrap({ wrapped, context }), { code: "REFUSED" });
  });

  it("refuses, rather than trusts, a certificate that is from its future", async () => {
    using node = manager.clientOf(await manager.enrolled("younger", key));
    await node.whoami();
    manager.clock.offsetMs = -3 * hourMs;
    await assert.rejects(() => node.whoami(), { code: "REFUSED", serverCode: "UNAUTHENTICATED" });
    manager.clock.offsetMs = 0;
    await node.whoami();
  });

  it("keeps a used enrolment token used", async () => {
    using token = await manager.tokenFor("twice", key);
    await enroll({ servers: [manager.url], token });
    manager.clock.offsetMs = -hourMs;
    await assert.rejects(() => enroll({ servers: [manager.url], token }), {
      code: "REFUSED",
      serverCode: "TOKEN_REFUSED",
    });
  });

  it("does not revive an enrolment token that had expired", async () => {
    using token = await manager.tokenFor("late", key);
    await forwardAndBack(16 * minuteMs);
    await assert.rejects(() => enroll({ servers: [manager.url], token }), {
      code: "REFUSED",
      serverCode: "TOKEN_REFUSED",
    });
  });

  it("does not revive a grant that had ended", async () => {
    const enrolment = await enrolledEarlier("granted");
    using node = manager.clientOf(enrolment);
    const context = { network: "test" };
    const notAfter = new Date(Date.now() + 2 * hourMs).toISOString();
    await manager.admin.grants.create(key, {
      grantee: enrolment.principal,
      operations: ["Encrypt", "Decrypt"],
      notAfter,
    });
    using plaintext = await manager.tokenFor("plaintext");
    const { wrapped } = await node.wrap({ key, context, plaintext });
    const unwrap = async () => (await node.unwrap({ wrapped, context })).plaintext[Symbol.dispose]();
    await unwrap();
    await forwardAndBack(2 * hourMs + minuteMs);
    await assert.rejects(unwrap, { code: "REFUSED", serverCode: "ACCESS_DENIED" });
  });

  it("has an audit chain that verifies, with the times as the clock told them", async () => {
    manager.clock.offsetMs = -hourMs;
    await manager.admin.keys.list();
    const checkpoint = await manager.admin.audit.checkpoint();
    const verdict = await manager.admin.audit.verify(checkpoint);
    assert.deepEqual([verdict.ok, verdict.firstBad], [true, undefined]);
    const records = await readAll(manager.admin);
    assert.deepEqual(
      records.map(({ sequence }) => sequence),
      records.map((_record, index) => index + 1),
    );
    const last = records.at(-1);
    assert.ok(last !== undefined && Date.parse(last.at) < Date.now() - hourMs + minuteMs);
  });

  it("does not revive a certificate that had ended", async () => {
    const enrolment = await enrolledEarlier("ended", key);
    using node = manager.clientOf(enrolment);
    await node.whoami();
    manager.clock.offsetMs = Date.parse(enrolment.notAfter) - Date.now() + minuteMs;
    await manager.admin.keys.list();
    manager.clock.offsetMs -= hourMs;
    await assert.rejects(() => node.whoami(), { code: "REFUSED", serverCode: "UNAUTHENTICATED" });
  });
});

async function readAll(client: KeyManagerClient) {
  return await client.audit.read({ after: 0, limit: 10_000 });
}

describe("a key manager that is started again after its clock went back", () => {
  it("remembers the latest time it had seen: no token, grant or waiting time is set back", async () => {
    const manager = await TestKeyManager.make();
    try {
      const { keyId: key } = await manager.custody.keys.create(manager.admin, {});
      const node = await manager.enrol("node0", key);
      const later = await manager.enrol("later", key);
      const context = { node: "node0" };
      const notAfter = new Date(manager.nowMs + hourMs).toISOString();
      await manager.custody.grants.create(manager.admin, key, {
        grantee: later.principal,
        operations: ["Decrypt"],
        notAfter,
      });
      const { wrapped } = await manager.custody.data.generateDataKeyWithoutPlaintext(node, { key, context });
      const { token } = await manager.custody.nodes.createToken(manager.admin, {
        name: "node1",
        key,
        identity: "file",
      });
      using secret = token;
      const doomed = await manager.custody.keys.create(manager.admin, {});
      await manager.custody.keys.scheduleDeletion(manager.admin, doomed.keyId, 7);

      manager.nowMs += 7 * dayMs + minuteMs;
      await manager.custody.keys.list(manager.admin);
      manager.nowMs -= hourMs;
      await manager.restart();

      const redemption = {
        name: "node1",
        token: secret,
        spkiSha256: Buffer.alloc(32, 1),
        notAfter: "2030-01-01T00:00:00.000Z",
      };
      const peer = { door: "native", peer: "127.0.0.1", requestId: "test" } as const;
      await assert.rejects(() => manager.custody.nodes.redeemToken(peer, redemption), { code: "TOKEN_REFUSED" });
      await assert.rejects(() => manager.custody.data.unwrap(later, { wrapped, context }), { code: "ACCESS_DENIED" });
      assert.equal((await manager.custody.keys.destroy(manager.admin, doomed.keyId)).state, "destroyed");
      assert.equal((await manager.custody.audit.verify(manager.admin)).ok, true);
    } finally {
      await manager.end();
    }
  });
});
