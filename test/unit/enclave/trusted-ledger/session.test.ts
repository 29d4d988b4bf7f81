import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { EnclaveError } from "../../../../src/enclave/errors.ts";
import { RequesterSession } from "../../../../src/enclave/trusted-ledger/session/requester.ts";
import { readSessionMessage } from "../../../../src/enclave/trusted-ledger/session/session-message.ts";
import { agreeOnKeys, newSessionPair, Transcript } from "../../../../src/enclave/trusted-ledger/session/transcript.ts";
import { assertRefused, bytes, forged, Host, newResponder, refusalIn, requesterSettings } from "./carried-session.ts";
import { fakeEvidence } from "./fake-evidence.ts";

suite("a session with the ledger enclave", () => {
  test("carries requests and their answers until it is closed", async () => {
    const host = new Host();
    const session = await RequesterSession.open(host.carry, requesterSettings());
    for (const text of ["one", "two", "three"])
      assert.equal(Buffer.from(await session.request(bytes(text))).toString(), `answer to ${text}`);
    await session.close();
    await assertRefused(session.request(bytes("four")), "LEDGER_UNAVAILABLE");
  });

  test("does not disturb another one", async () => {
    const host = new Host();
    const one = await RequesterSession.open(host.carry, requesterSettings());
    const two = await RequesterSession.open(host.carry, requesterSettings({ enclaveId: "CD".repeat(32) }));
    assert.ok(await one.request(bytes("a")));
    assert.ok(await two.request(bytes("b")));
    await one.close();
    assert.ok(await two.request(bytes("c")));
  });

  test("gives what the ledger enclave refuses with, as said by the ledger enclave", async () => {
    const refusing = newResponder({
      answer: async () => {
        throw new EnclaveError("WRONG_CONTEXT", "a test");
      },
    });
    const session = await RequesterSession.open(new Host(refusing).carry, requesterSettings());
    await assertRefused(session.request(bytes("one")), "WRONG_CONTEXT");
  });

  test("drops the ones that were quiet for longest when there are too many", async () => {
    const host = new Host(newResponder({ mostOpen: 3 }));
    const first = await RequesterSession.open(host.carry, requesterSettings());
    const second = await RequesterSession.open(host.carry, requesterSettings());
    assert.ok(await first.request(bytes("used")));
    for (let count = 0; count < 2; count += 1) await RequesterSession.open(host.carry, requesterSettings());
    assert.ok(await first.request(bytes("still there")));
    await assertRefused(second.request(bytes("gone")), "LEDGER_UNAVAILABLE");
  });
});

suite("the key exchange refuses", () => {
  test("a ledger enclave with other evidence than the one that is believed", async () => {
    const host = new Host(newResponder({ attest: fakeEvidence("somebody") }));
    await assertRefused(RequesterSession.open(host.carry, requesterSettings()), "BAD_EVIDENCE");
    assert.equal(host.sent.length, 1);
  });

  test("a requester whose evidence does not hold", async () => {
    const host = new Host();
    const settings = requesterSettings({ attest: fakeEvidence("somebody") });
    await assertRefused(RequesterSession.open(host.carry, settings), "BAD_EVIDENCE");
    assert.match(refusalIn(host.received[1] ?? Buffer.alloc(0)), /^BAD_EVIDENCE/);
  });

  test("evidence of an earlier exchange, on either side", async () => {
    const earlier = new Host();
    await RequesterSession.open(earlier.carry, requesterSettings());
    const offer = readSessionMessage(earlier.received[0] ?? Buffer.alloc(0)).payload;
    const answer = readSessionMessage(earlier.sent[1] ?? Buffer.alloc(0)).payload;
    assert.ok(offer.case === "stpIntRsp" && answer.case === "stpCmpReq");
    const replayed = new Host();
    replayed.response = (message, count) => (count === 1 ? (earlier.received[0] ?? message) : message);
    await assertRefused(RequesterSession.open(replayed.carry, requesterSettings()), "BAD_EVIDENCE");
    const fresh = new Host();
    fresh.request = (message, count) =>
      count === 2
        ? forged(message, (payload) => {
            assert.ok(payload.case === "stpCmpReq");
            payload.value.msg2 = answer.value.msg2;
          })
        : message;
    await assertRefused(RequesterSession.open(fresh.carry, requesterSettings()), "BAD_SIGNATURE");
  });

  test("another channel, another registry, and a channel whose first block is another one", async () => {
    for (const changed of [{ channelId: "other" }, { erccName: "not-ercc" }])
      await assertRefused(RequesterSession.open(new Host().carry, requesterSettings(changed)), "WRONG_CONTEXT");
    const other = requesterSettings({ channelHash: Buffer.alloc(32, 8) });
    await assertRefused(RequesterSession.open(new Host().carry, other), "WRONG_CONTEXT");
  });

  test("a requester that does not say who it is", async () => {
    for (const changed of [{ chaincodeId: "" }, { enclaveId: "" }, { enclaveId: "ab".repeat(32) }, { enclaveId: "AB" }])
      await assertRefused(RequesterSession.open(new Host().carry, requesterSettings(changed)), "MALFORMED");
  });

  test("a host in the middle that puts its own session key in", async () => {
    for (const side of ["offer", "answer"]) {
      const host = new Host();
      const put = (message: Uint8Array) => {
        const changed = Buffer.from(message);
        changed.set(newSessionPair().publicKey, changed.indexOf(keyIn(message)));
        return changed;
      };
      if (side === "offer") host.response = (message, count) => (count === 1 ? put(message) : message);
      else host.request = (message, count) => (count === 2 ? put(message) : message);
      await assertRefused(RequesterSession.open(host.carry, requesterSettings()), "BAD_EVIDENCE", "BAD_SIGNATURE");
    }
  });

  test("a changed bit in any byte of its four messages", async () => {
    const lengths: number[] = [];
    const probe = new Host();
    await RequesterSession.open(probe.carry, requesterSettings());
    for (const message of [probe.sent[0], probe.received[0], probe.sent[1], probe.received[1]])
      lengths.push(message?.length ?? 0);
    for (const [which, length] of lengths.entries())
      for (let at = 0; at < length; at += 3) {
        const host = new Host();
        const flip = (message: Buffer) => {
          const changed = Buffer.from(message);
          const place = Math.min(at, changed.length - 1);
          changed.writeUInt8(changed.readUInt8(place) ^ 1, place);
          return changed;
        };
        const number = which < 2 ? 1 : 2;
        if (which % 2 === 0) host.request = (message, count) => (count === number ? flip(message) : message);
        else host.response = (message, count) => (count === number ? flip(message) : message);
        await assert.rejects(RequesterSession.open(host.carry, requesterSettings()), `message ${which} at ${at}`);
      }
  });

  test("a second answer to the same offer", async () => {
    const host = new Host();
    await RequesterSession.open(host.carry, requesterSettings());
    const again = await host.responder.handle(host.sent[1] ?? Buffer.alloc(0));
    assert.match(refusalIn(again), /^LEDGER_UNAVAILABLE: there is no such session/);
  });

  test("session keys that agree on a secret that everybody knows", () => {
    const { privateKey } = newSessionPair();
    const one = Buffer.alloc(32);
    one.writeUInt8(1, 0);
    for (const key of [Buffer.alloc(32), one, Buffer.alloc(31, 9), Buffer.alloc(33, 9)])
      assert.throws(() => agreeOnKeys(privateKey, key, Buffer.alloc(32)), { code: "MALFORMED" });
  });

  test("too many offers at once: the oldest is given up", async () => {
    const responder = newResponder();
    const host = new Host(responder);
    let flooded = false;
    const flood = async () => {
      for (let count = 0; count < 64; count += 1) {
        const other = new Host(responder);
        other.response = () => Buffer.alloc(0);
        await assert.rejects(RequesterSession.open(other.carry, requesterSettings()));
      }
      flooded = true;
    };
    const attest = fakeEvidence("requester");
    const settings = requesterSettings({
      attest: async (statement) => {
        await flood();
        return await attest(statement);
      },
    });
    await assertRefused(RequesterSession.open(host.carry, settings), "LEDGER_UNAVAILABLE");
    assert.equal(flooded, true);
  });
});

suite("a transcript", () => {
  test("tells parts apart by name and by length", () => {
    const of = (...parts: [Parameters<Transcript["add"]>[0], string][]) => {
      const transcript = new Transcript();
      for (const [part, text] of parts) transcript.add(part, bytes(text));
      return transcript.digest().toString("hex");
    };
    const all = [
      of(["init", "ab"], ["offer", "c"]),
      of(["init", "a"], ["offer", "bc"]),
      of(["init", "ab"], ["answer", "c"]),
      of(["init", "abc"]),
      of(["offer", "c"], ["init", "ab"]),
    ];
    assert.equal(new Set(all).size, all.length);
  });
});

/** The session key in the offer or answer that a message carries. */
function keyIn(message: Uint8Array): Buffer {
  const { payload } = readSessionMessage(message);
  assert.ok(payload.case === "stpIntRsp" || payload.case === "stpCmpReq");
  const inner = payload.case === "stpIntRsp" ? payload.value.msg1 : payload.value.msg2;
  // Field 1, 32 bytes long.
  assert.deepEqual([...inner.subarray(0, 2)], [0x0a, 32]);
  return Buffer.from(inner.subarray(2, 34));
}
