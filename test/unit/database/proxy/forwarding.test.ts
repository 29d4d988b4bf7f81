import assert from "node:assert/strict";
import { hash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer, type RequestListener, request, type Server } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { afterEach, describe, it } from "node:test";
import type { EncryptionCatalogue } from "../../../../src/database/proxy/catalogue.ts";
import { DatabaseProxy } from "../../../../src/database/proxy/proxy.ts";

/** Nothing is encrypted, so every request is passed on. */
const catalogue: EncryptionCatalogue = {
  available: () => undefined,
  isEncrypted: () => false,
  create: async () => {},
  drop: async () => {},
  sweep: async () => {},
  isConverting: () => false,
  convert: async () => {},
};

let fake: Server | undefined;
let proxy: DatabaseProxy | undefined;

/** A proxy before a server that stands for influxd. @returns The proxy's port. */
async function before(answer: RequestListener): Promise<number> {
  fake = createServer(answer).listen(0, "127.0.0.1");
  await once(fake, "listening");
  const { port } = fake.address() as AddressInfo;
  const listen = { host: "127.0.0.1", port: 0 };
  proxy = await DatabaseProxy.open({ influxd: { host: "127.0.0.1", port }, listen, catalogue });
  return proxy.port;
}

afterEach(async () => {
  await proxy?.close(0);
  fake?.closeAllConnections();
  fake?.close();
});

/** Sends a request's text, and gives each piece of what comes to a function. */
function sendText(port: number, text: string, piece: (data: string) => void): ReturnType<typeof connect> {
  const socket = connect(port, "127.0.0.1", () => socket.write(text));
  return socket.on("data", (data: Buffer) => piece(data.toString("latin1")));
}

describe("what the proxy passes on", () => {
  it("is one piece when the answer is short", async () => {
    const port = await before((_, response) => response.end("short"));
    const pieces: string[] = [];
    const socket = sendText(port, "GET /ping HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", (data) =>
      pieces.push(data),
    );
    await once(socket, "close");
    assert.equal(pieces.length, 1);
    assert.match(pieces[0] ?? "", /^HTTP\/1\.1 200 OK\r\n.*\r\n\r\nshort$/s);
  });

  it("is the head by itself, when the body is late", async () => {
    const late = Promise.withResolvers<void>();
    const port = await before(async (_, response) => {
      response.writeHead(200, { "Content-Length": 4 }).flushHeaders();
      await late.promise;
      response.end("late");
    });
    let come = "";
    const head = Promise.withResolvers<void>();
    const socket = sendText(port, "GET /ping HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", (data) => {
      come += data;
      if (come.endsWith("\r\n\r\n")) head.resolve();
    });
    await head.promise;
    late.resolve();
    await once(socket, "close");
    assert.match(come, /\r\n\r\nlate$/);
  });

  it("is whole when it comes as several chunks in one packet, on one connection to influxd", async () => {
    const port = await before(async (incoming, response) => {
      response.write("answer to ");
      let body = "";
      for await (const chunk of incoming) body += chunk;
      response.write(`"${body}`);
      response.end('"');
    });
    let connections = 0;
    fake?.on("connection", () => {
      connections += 1;
    });
    const head = "POST /write?db=x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
    const answered = /"(.*)"/s;
    for (let round = 0; round < 20; round += 1) {
      let come = "";
      const socket = sendText(port, `${head}3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n`, (data) => {
        come += data;
        if (come.endsWith("\r\n0\r\n\r\n")) socket.end();
      });
      await once(socket, "close");
      const body = come.slice(come.indexOf("\r\n\r\n")).replace(/\r\n[0-9a-f]*/g, "");
      assert.equal(answered.exec(body)?.[1], "onetwo", come);
    }
    assert.equal(connections, 1);
  });

  it("is no body at all, of a request that has none, whatever its method", async () => {
    const port = await before((incoming, response) => {
      response.end(`${incoming.method} ${incoming.headers["content-length"]} ${incoming.headers["transfer-encoding"]}`);
    });
    for (const method of ["GET", "DELETE", "OPTIONS"]) {
      let come = "";
      const socket = sendText(port, `${method} /ping HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n`, (data) => {
        come += data;
      });
      await once(socket, "close");
      assert.match(come, new RegExp(`\r\n\r\n${method} undefined undefined$`));
    }
  });

  it("is every byte of a long body, to an influxd that reads slowly", async () => {
    const port = await before(async (incoming, response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of incoming) {
        chunks.push(chunk);
        await new Promise((resume) => setImmediate(resume));
      }
      response.end(hash("sha256", Buffer.concat(chunks)));
    });
    for (const headers of [{}, { "Transfer-Encoding": "chunked" }]) {
      const body = randomBytes(3_000_001);
      const outgoing = request({ port, host: "127.0.0.1", method: "POST", path: "/write?db=x", headers });
      // In pieces that share memory, and in ones that do not.
      outgoing.write(body.subarray(0, 70_000));
      outgoing.end(body.subarray(70_000));
      const [incoming] = await once(outgoing, "response");
      let answer = "";
      for await (const chunk of incoming) answer += chunk;
      assert.equal(answer, hash("sha256", body));
    }
  });

  it("is an answer that comes before the request has ended, however much of that is left", async () => {
    const port = await before((_, response) => response.writeHead(413, { Connection: "close" }).end("too long"));
    const outgoing = request({ port, host: "127.0.0.1", method: "POST", path: "/write?db=x" });
    // The connection may be reset while the rest is sent.
    outgoing.on("error", () => {});
    outgoing.write(Buffer.alloc(100_000));
    const [incoming] = await once(outgoing, "response");
    assert.equal(incoming.statusCode, 413);
    outgoing.end(Buffer.alloc(5_000_000));
    incoming.resume();
    await once(incoming, "close");
  });

  it("is cut where influxd cut its answer, and never taken for whole", async () => {
    const port = await before((_, response) => {
      response.writeHead(200, { "Content-Length": 1000 });
      response.write("half", () => response.destroy());
    });
    const outgoing = request({ port, host: "127.0.0.1", path: "/ping" }).end();
    const [incoming] = await once(outgoing, "response");
    await assert.rejects(async () => {
      for await (const _ of incoming);
    });
    assert.equal(incoming.complete, false);
  });
});
