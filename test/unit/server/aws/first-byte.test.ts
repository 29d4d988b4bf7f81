import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:https";
import { Duplex } from "node:stream";
import { describe, it } from "node:test";
import { answerPlainHttpOnLoopback } from "../../../../src/server/aws/first-byte.ts";

/** A connection that is fake: its bytes come from the test, its address is what the test says. */
class FakeSocket extends Duplex {
  readonly localAddress: string;
  answer = "";

  constructor(localAddress: string) {
    super();
    this.localAddress = localAddress;
  }

  setTimeout(): this {
    return this;
  }

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.answer += chunk.toString();
    done();
  }
}

async function begin(localAddress: string, firstBytes: string) {
  const counted: string[] = [];
  const server = createServer();
  const handed: string[] = [];
  const endSilent = answerPlainHttpOnLoopback(server, (reason) => counted.push(reason));
  server.removeAllListeners("secureConnection");
  server.on("secureConnection", (socket: Duplex) => {
    let text = "";
    for (let piece = socket.read(); piece !== null; piece = socket.read()) text += String(piece);
    handed.push(text);
  });
  const socket = new FakeSocket(localAddress);
  server.emit("connection", socket);
  if (firstBytes !== "") socket.push(firstBytes);
  await new Promise((resolve) => setImmediate(resolve));
  return { socket, handed, counted, endSilent };
}

describe("plain HTTP at the AWS door", () => {
  it("is answered on every loopback address, with no byte lost", async () => {
    for (const address of ["127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1"]) {
      const { handed, counted } = await begin(address, "POST / HTTP/1.1\r\n");
      assert.deepEqual([handed, counted], [["POST / HTTP/1.1\r\n"], []]);
    }
  });

  it("is refused on any other address, with a word on what to do", async () => {
    for (const address of ["10.0.0.1", "128.0.0.1", "::", "::ffff:10.0.0.1", "fd00::1", "2001:db8::127.0.0.1", ""]) {
      const { socket, handed, counted } = await begin(address, "POST / HTTP/1.1\r\n");
      assert.deepEqual([handed, counted], [[], ["ERR_PLAIN_HTTP"]]);
      assert.match(socket.answer, /^HTTP\/1\.1 400 .*use https\n$/s);
      assert.equal(socket.writableEnded, true);
    }
  });

  it("lets go of a refused connection once its peer has, whatever the peer sent before", async () => {
    const { socket } = await begin("10.0.0.1", "POST / HTTP/1.1\r\n\r\n");
    socket.push("more that nobody asked for");
    socket.push(null);
    await once(socket, "close");
    assert.equal(socket.destroyed, true);
  });

  it("does not wait for a refused peer that never lets go", async (test) => {
    test.mock.timers.enable({ apis: ["setTimeout"] });
    const { socket } = await begin("10.0.0.1", "POST / HTTP/1.1\r\n\r\n");
    test.mock.timers.tick(10_000);
    assert.equal(socket.destroyed, true);
  });

  it("ends refused connections with the silent ones when the door closes", async () => {
    const { socket, endSilent } = await begin("10.0.0.1", "POST / HTTP/1.1\r\n\r\n");
    endSilent();
    assert.equal(socket.destroyed, true);
  });

  it("leaves no connection behind that never sent a byte", async () => {
    const { socket, endSilent } = await begin("127.0.0.1", "");
    endSilent();
    await once(socket, "close");
    assert.equal(socket.destroyed, true);
  });
});
