import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  encodeHello,
  type HandshakeChannel,
  type HandshakeIdentity,
  handshake,
  helloBytes,
  ownHello,
  proofDigest,
  readHello,
} from "../../../../src/chain/net/handshake.ts";
import { sortedKeys, testIdentity } from "./test-identity.ts";

const [one, two, stranger] = sortedKeys(3);
assert(one && two && stranger);
const binding = Buffer.alloc(32, 7);

class Mailbox {
  readonly #sent: Buffer[] = [];
  readonly #waiting: ((body: Buffer) => void)[] = [];

  put(body: Buffer): void {
    const taker = this.#waiting.shift();
    if (taker === undefined) this.#sent.push(body);
    else taker(body);
  }

  take(): Promise<Buffer> {
    const body = this.#sent.shift();
    return body === undefined ? new Promise((resolve) => this.#waiting.push(resolve)) : Promise.resolve(body);
  }
}

interface Meddling {
  readonly dialerBinding?: Buffer;
  readonly changeProof?: (proof: Buffer) => Buffer;
  readonly seenProofs?: Buffer[];
}

async function shake(dialer: HandshakeIdentity, listener: HandshakeIdentity, meddling: Meddling = {}) {
  const boxes = { dialerHello: new Mailbox(), dialerProof: new Mailbox(), hello: new Mailbox(), proof: new Mailbox() };
  const { dialerBinding = binding, changeProof = (proof) => proof, seenProofs } = meddling;
  const side = (own: [Mailbox, Mailbox], peer: [Mailbox, Mailbox]): HandshakeChannel => ({
    sendHello: (body) => own[0].put(body),
    sendProof: (body) => {
      seenProofs?.push(body);
      own[1].put(changeProof(body));
    },
    readHello: () => peer[0].take(),
    readProof: () => peer[1].take(),
  });
  const ofDialer: [Mailbox, Mailbox] = [boxes.dialerHello, boxes.dialerProof];
  const ofListener: [Mailbox, Mailbox] = [boxes.hello, boxes.proof];
  const dialing = handshake("dialer", dialer, dialerBinding, side(ofDialer, ofListener));
  dialing.catch(() => {});
  const listened = await handshake("listener", listener, binding, side(ofListener, ofDialer));
  return { listened, dialed: await dialing };
}

describe("the handshake of two nodes", () => {
  it("tells each the other's node id", async () => {
    const { listened, dialed } = await shake(testIdentity(one, [two]), testIdentity(two, [one]));
    assert.equal(listened, one.nodeId);
    assert.equal(dialed, two.nodeId);
  });

  it("refuses a node that is not in the genesis list", async () => {
    await assert.rejects(shake(testIdentity(stranger, [two]), testIdentity(two, [one])), {
      code: "HANDSHAKE_REFUSED",
      message: /not in the genesis node list/,
    });
  });

  it("refuses a node that has another genesis", async () => {
    const other = testIdentity(one, [two], { genesisDigest: Buffer.alloc(32, 1) });
    await assert.rejects(shake(other, testIdentity(two, [one])), {
      code: "HANDSHAKE_REFUSED",
      message: /another chain/,
    });
  });

  it("refuses itself", async () => {
    await assert.rejects(shake(testIdentity(one, [one]), testIdentity(one, [one])), { message: /this node itself/ });
  });

  it("refuses one who claims another's id without its key", async () => {
    const thief = testIdentity({ ...stranger, nodeId: one.nodeId }, [two]);
    await assert.rejects(shake(thief, testIdentity(two, [one])), {
      code: "HANDSHAKE_REFUSED",
      message: /does not verify/,
    });
  });

  it("does not make the listener sign for a dialer who has not proved itself", async () => {
    let signed = 0;
    const listener = testIdentity(two, [one], {
      sign: async () => {
        signed += 1;
        return Buffer.alloc(64);
      },
    });
    await assert.rejects(shake(testIdentity({ ...stranger, nodeId: one.nodeId }, [two]), listener));
    assert.equal(signed, 0);
  });

  it("refuses a proof that was made over another TLS connection", async () => {
    const elsewhere = { dialerBinding: Buffer.alloc(32, 8) };
    await assert.rejects(shake(testIdentity(one, [two]), testIdentity(two, [one]), elsewhere), {
      message: /does not verify/,
    });
  });

  it("refuses a proof in which any byte is changed", async () => {
    for (let at = 0; at < 64; at += 9)
      await assert.rejects(
        shake(testIdentity(one, [two]), testIdentity(two, [one]), {
          changeProof: (proof) => {
            const changed = Buffer.from(proof);
            changed.writeUInt8(changed.readUInt8(at) ^ 1, at);
            return changed;
          },
        }),
        { code: "HANDSHAKE_REFUSED" },
      );
  });

  it("refuses a proof of an earlier handshake", async () => {
    const seenProofs: Buffer[] = [];
    await shake(testIdentity(one, [two]), testIdentity(two, [one]), { seenProofs });
    await assert.rejects(
      shake(testIdentity(one, [two]), testIdentity(two, [one]), {
        changeProof: () => seenProofs[0] ?? Buffer.alloc(0),
      }),
      { message: /does not verify/ },
    );
  });

  it("refuses its own proof, sent back", async () => {
    const identity = testIdentity(one, [two]);
    const hellos = { dialer: ownHello(identity), listener: ownHello(testIdentity(two, [one])) };
    assert.notDeepEqual(
      proofDigest(identity, "dialer", binding, hellos),
      proofDigest(identity, "listener", binding, hellos),
    );
  });

  it("hands on what the device says when it does not sign", async () => {
    const locked = testIdentity(one, [two], { sign: () => Promise.reject(new Error("the device is locked")) });
    const dialing = handshake("dialer", locked, binding, {
      sendHello: () => {},
      sendProof: () => assert.fail("nothing was signed"),
      readHello: async () => encodeHello(ownHello(testIdentity(two, [one]))),
      readProof: () => new Promise(() => {}),
    });
    await assert.rejects(dialing, /locked/);
  });

  it("reads a hello of exactly one length", () => {
    const hello = encodeHello(ownHello(testIdentity(two, [one])));
    assert.equal(hello.length, helloBytes);
    assert.equal(readHello(hello, testIdentity(one, [two])).nodeId, two.nodeId);
    for (const bytes of [hello.subarray(1), Buffer.concat([hello, Buffer.of(0)]), Buffer.alloc(0)])
      assert.throws(() => readHello(bytes, testIdentity(one, [two])), { code: "HANDSHAKE_REFUSED" });
  });
});
