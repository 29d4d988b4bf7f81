import assert from "node:assert/strict";
import { once } from "node:events";
import { connect as connectPlain, type Socket } from "node:net";
import { describe, it } from "node:test";
import { connect, type TLSSocket } from "node:tls";
import { encodeFrame, frameTypes } from "../../../../src/chain/net/frame.ts";
import type { HandshakeIdentity } from "../../../../src/chain/net/handshake.ts";
import { Link, type LinkLimits, linkDefaults } from "../../../../src/chain/net/link.ts";
import { Network, type NetworkTls } from "../../../../src/chain/net/network.ts";
import { reservePort } from "../../../reserved-ports.ts";
import { TestChainAuthority } from "./chain-authority.ts";
import { sortedKeys, type TestKey, testIdentity } from "./test-identity.ts";

const authority = await TestChainAuthority.create();
const redial = { firstMs: 10, longestMs: 40 };

/** A network with a log of what it tells, and waits on that log. */
class TestNode implements AsyncDisposable {
  readonly told: string[] = [];
  readonly #waiting = new Set<() => void>();
  network!: Network;

  static async start(
    key: TestKey,
    admitted: readonly TestKey[],
    dial: readonly TestNode[] = [],
    more: { limits?: LinkLimits; tls?: NetworkTls; identity?: Partial<HandshakeIdentity>; port?: number } = {},
  ): Promise<TestNode> {
    const node = new TestNode();
    const tell = (line: string) => {
      node.told.push(line);
      for (const check of [...node.#waiting]) check();
    };
    node.network = await Network.start(
      {
        listen: { host: "127.0.0.1", port: more.port ?? 0 },
        tls: more.tls ?? (await authority.issue("node")),
        identity: testIdentity(key, admitted, more.identity),
        dial: dial.map(({ network }) => network.address),
        redial,
        limits: more.limits ?? linkDefaults,
      },
      {
        message: (nodeId, body) => tell(`message ${nodeId.slice(0, 8)} ${body}`),
        connected: (nodeId) => tell(`connected ${nodeId.slice(0, 8)}`),
        disconnected: (nodeId, reason) => tell(`disconnected ${nodeId.slice(0, 8)} ${reason?.code ?? "closed"}`),
        refused: (_from, reason) => tell(`refused ${reason.message}`),
      },
    );
    return node;
  }

  async until(what: string | (() => boolean)): Promise<void> {
    const met = typeof what === "function" ? what : () => this.told.some((line) => line.includes(what));
    if (met()) return;
    await new Promise<void>((resolve) => {
      const check = () => {
        if (!met()) return;
        this.#waiting.delete(check);
        resolve();
      };
      this.#waiting.add(check);
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.network[Symbol.asyncDispose]();
  }
}

async function secured(to: TestNode, tls: NetworkTls): Promise<TLSSocket> {
  const { host, port } = to.network.address;
  const socket = connect({
    host,
    port,
    ca: tls.ca,
    cert: tls.certificate,
    key: tls.privateKey,
    checkServerIdentity: () => undefined,
  });
  socket.on("error", () => {});
  await once(socket, "secureConnect");
  return socket;
}

const keys = sortedKeys(4);
/** Resolves once the other side has ended the connection, in whatever way. */
function ended(socket: Socket): Promise<void> {
  socket.on("error", () => {});
  socket.resume();
  return new Promise((resolve) => {
    socket.once("close", () => resolve());
  });
}

const [one, two, three, four] = keys;
assert(one && two && three && four);

describe("the network of a chain", { timeout: 60_000 }, () => {
  it("connects all nodes, each pair once, also when both dial", async () => {
    const nodes: TestNode[] = [];
    for (const key of keys) nodes.push(await TestNode.start(key, keys, nodes));
    const [first, , , last] = nodes;
    assert(first && last);
    // The first dials back: now every pair that it is in has been dialed by both.
    await using back = await TestNode.start(one, keys, nodes.slice(1));
    await first[Symbol.asyncDispose]();
    await last.until(() => last.network.connected.length === 3);
    await back.until(() => back.network.connected.length === 3);
    for (const node of nodes.slice(1)) await node[Symbol.asyncDispose]();
  });

  it("carries messages both ways, to one node or all", async () => {
    await using listener = await TestNode.start(one, keys);
    await using dialer = await TestNode.start(two, keys, [listener]);
    await dialer.until("connected");
    await listener.until("connected");
    assert.equal(dialer.network.send(one.nodeId, Buffer.from("to "), Buffer.from("one")), true);
    await listener.until(`message ${two.nodeId.slice(0, 8)} to one`);
    listener.network.broadcast(Buffer.from("to all"));
    await dialer.until(`message ${one.nodeId.slice(0, 8)} to all`);
    assert.equal(dialer.network.send(three.nodeId, Buffer.from("x")), false);
  });

  it("finds a node again that was away", async () => {
    const listener = await TestNode.start(one, keys);
    const { port } = listener.network.address;
    await using dialer = await TestNode.start(two, keys, [listener]);
    await dialer.until("connected");
    await listener[Symbol.asyncDispose]();
    await dialer.until("disconnected");
    await using again = await TestNode.start(one, keys, [], { port });
    await again.until("connected");
  });

  it("leaves its own address alone", async () => {
    const port = await reservePort();
    await using node = await TestNode.start(
      one,
      keys,
      [{ network: { address: { host: "127.0.0.1", port } } } as TestNode],
      { port },
    );
    await node.until("this node itself");
    assert.deepEqual(node.network.connected, []);
  });

  it("asks again at an address that was said to be its own", async () => {
    // It claims the dialer's node id, in the place of a node that is away.
    const liar = await TestNode.start(one, keys);
    const { port } = liar.network.address;
    await using dialer = await TestNode.start(one, keys, [liar]);
    await dialer.until("this node itself");
    await liar[Symbol.asyncDispose]();
    await using real = await TestNode.start(two, keys, [], { port });
    await dialer.until(`connected ${two.nodeId.slice(0, 8)}`);
    await real.until("connected");
  });

  it("refuses a node whose certificate is of another CA, before any handshake of ours", async () => {
    await using listener = await TestNode.start(one, keys);
    const other = await (await TestChainAuthority.create()).issue("stranger");
    await using dialer = await TestNode.start(two, keys, [listener], { tls: other });
    await dialer.until("refused");
    await listener.until("refused TLS");
    assert.deepEqual(listener.network.connected, []);
  });

  it("refuses a node of the right CA that is not in the genesis list", async () => {
    await using listener = await TestNode.start(one, [one, two]);
    await using dialer = await TestNode.start(three, keys, [listener]);
    await listener.until("not in the genesis node list");
    await dialer.until("refused");
    assert.deepEqual(listener.network.connected, []);
  });

  it("refuses a caller without a certificate, and TLS 1.2", async () => {
    await using listener = await TestNode.start(one, keys);
    const { host, port } = listener.network.address;
    const { ca, certificate, privateKey } = await authority.issue("old");
    for (const more of [{}, { cert: certificate, key: privateKey, maxVersion: "TLSv1.2" as const }]) {
      const socket = connect({ host, port, ca, checkServerIdentity: () => undefined, ...more });
      await ended(socket);
    }
    assert.deepEqual(listener.network.connected, []);
  });

  it("ends a connection that does not finish its handshake", async () => {
    const limits = { ...linkDefaults, handshakeMs: 800 };
    await using listener = await TestNode.start(one, keys, [], { limits });
    const silent = await secured(listener, await authority.issue("silent"));
    await ended(silent);
    const plain = connectPlain(listener.network.address.port, "127.0.0.1");
    await ended(plain);
  });

  for (const [what, addresses, ofEach] of [
    ["one address", 1, 150],
    ["many addresses", 30, 5],
  ] as const)
    it(`lets a node in beside idle strangers of ${what}, before TLS`, async () => {
      await using listener = await TestNode.start(one, keys);
      const { port } = listener.network.address;
      const strangers = Array.from({ length: addresses * ofEach }, (_, index) =>
        connectPlain({ port, host: "127.0.0.1", localAddress: `127.0.0.${2 + (index % addresses)}` }),
      );
      for (const stranger of strangers) stranger.on("error", () => {});
      await Promise.all(strangers.map((stranger) => Promise.race([once(stranger, "connect"), ended(stranger)])));
      await using dialer = await TestNode.start(two, keys, [listener]);
      await dialer.until("connected");
      await listener.until("connected");
      for (const stranger of strangers) stranger.destroy();
    });

  it("stops at once beside strangers that have said nothing", async () => {
    const listener = await TestNode.start(one, keys);
    const plain = connectPlain(listener.network.address.port, "127.0.0.1");
    await once(plain, "connect");
    await listener[Symbol.asyncDispose]();
    await ended(plain);
  });

  it("ends a connection that begins with anything but a hello", async () => {
    await using listener = await TestNode.start(one, keys);
    const tls = await authority.issue("rude");
    for (const bytes of [
      encodeFrame(frameTypes.message, Buffer.from("before any proof")),
      encodeFrame(frameTypes.proof, Buffer.alloc(64)),
      Buffer.from("ffffffff05", "hex"),
      Buffer.from("GET / HTTP/1.1\r\n\r\n"),
    ]) {
      const socket = await secured(listener, tls);
      socket.write(bytes);
      await ended(socket);
    }
    assert.deepEqual(listener.network.connected, []);
  });

  it("ends the link of a peer that floods it", async () => {
    const limits = { ...linkDefaults, messages: { perSecond: 1, burst: 5 } };
    await using listener = await TestNode.start(one, keys, [], { limits });
    const socket = await secured(listener, await authority.issue("flood"));
    const link = await Link.prove(socket, "dialer", testIdentity(two, keys));
    for (let count = 0; count < 20; count++) link.send(Buffer.from("again"));
    await listener.until("PEER_FLOODING");
    assert.equal(listener.told.filter((line) => line.startsWith("message")).length, 5);
    link.close();
  });

  it("ends the link of a peer that has gone silent", async () => {
    const limits = { ...linkDefaults, pingMs: 10, silenceMs: 40 };
    await using listener = await TestNode.start(one, keys, [], { limits });
    const socket = await secured(listener, await authority.issue("mute"));
    const link = await Link.prove(socket, "dialer", testIdentity(two, keys));
    socket.pause();
    socket.removeAllListeners("data");
    await listener.until("PEER_SILENT");
    link.close();
  });

  it("says which address cannot be listened on", async () => {
    await using listener = await TestNode.start(one, keys);
    await assert.rejects(TestNode.start(two, keys, [], { port: listener.network.address.port }), {
      code: "LISTEN_FAILED",
      message: /EADDRINUSE/,
    });
  });

  it("says that a TLS file cannot be used", async () => {
    const tls = await authority.issue("broken");
    await assert.rejects(TestNode.start(one, keys, [], { tls: { ...tls, privateKey: Buffer.from("no key") } }), {
      code: "TLS_UNUSABLE",
    });
  });
});
