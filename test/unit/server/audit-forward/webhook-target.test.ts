import assert from "node:assert/strict";
import { createHmac, randomBytes } from "node:crypto";
import { createServer, type IncomingHttpHeaders, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, it } from "node:test";
import { SecretBuffer } from "../../../../src/crypto/secret-buffer.ts";
import type { StoredRecord } from "../../../../src/custody/contract/audit.ts";
import { RecordRefused } from "../../../../src/server/audit-forward/target.ts";
import { parseWebhookUrl, WebhookTarget } from "../../../../src/server/audit-forward/webhook-target.ts";

const key = randomBytes(32);
const never = new AbortController().signal;
const records = (count: number): StoredRecord[] =>
  Array.from({ length: count }, (_, index) => ({
    sequence: index + 1,
    text: `{"sequence":${index + 1}}`,
    hash: "00".repeat(32),
  }));

interface Received {
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

describe("a webhook", () => {
  const servers: Server[] = [];
  const targets: WebhookTarget[] = [];
  afterEach(async () => {
    for (const target of targets.splice(0)) target.close();
    for (const server of servers.splice(0)) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  });

  async function receiver(answer: (response: ServerResponse, received: Received) => void, timeoutMs = 10_000) {
    const received: Received[] = [];
    const server = createServer((request, response) => {
      let body = "";
      request.on("data", (piece: Buffer) => {
        body += piece;
      });
      request.on("end", () => {
        const one = { headers: request.headers, body };
        received.push(one);
        answer(response, one);
      });
    });
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    using secret = SecretBuffer.copyOf(key);
    const target = new WebhookTarget({
      url: `http://127.0.0.1:${port}/hidden-path?token=x`,
      secret,
      timeoutMs,
      clock: () => 1_763_726_400_123,
    });
    targets.push(target);
    return { received, target };
  }

  const answering = (status: number) => (response: ServerResponse) => void response.writeHead(status).end("x");

  it("gets the stored lines, with their numbers and a signature over time and body", async () => {
    const { received, target } = await receiver(answering(204));
    assert.equal(await target.send(records(3), never), 3);
    const [one] = received;
    assert.equal(one?.body, '{"sequence":1}\n{"sequence":2}\n{"sequence":3}\n');
    assert.equal(one?.headers["content-type"], "application/x-ndjson");
    assert.equal(one?.headers["strongroom-records"], "1-3");
    const hex = createHmac("sha256", key).update(`1763726400.${one?.body}`).digest("hex");
    assert.equal(one?.headers["strongroom-signature"], `t=1763726400,v1=${hex}`);
  });

  for (const status of [300, 301, 302, 400, 401, 404, 429, 500, 503])
    it(`takes nothing when it answers ${status}`, async () => {
      const { received, target } = await receiver(answering(status));
      await assert.rejects(target.send(records(1), never), { message: `it answered ${status}` });
      assert.equal(received.length, 1);
    });

  it("takes nothing when it hangs, dies or breaks off", async () => {
    const hanging = await receiver(() => {}, 300);
    await assert.rejects(hanging.target.send(records(1), never), { name: "AbortError" });
    const dying = await receiver((response) => void response.destroy());
    await assert.rejects(dying.target.send(records(1), never), { code: "ECONNRESET" });
    const breaking = await receiver((response) => {
      response.writeHead(200, { "content-length": 100 });
      response.write("x", () => response.destroy());
    });
    await assert.rejects(breaking.target.send(records(1), never));
  });

  it("is given up at once when the server closes", async () => {
    const { target } = await receiver(() => {});
    const stop = new AbortController();
    setImmediate(() => stop.abort());
    await assert.rejects(target.send(records(1), stop.signal), { name: "AbortError" });
  });

  it("gets smaller batches when it calls one too large, and a single record that is too large is refused for good", async () => {
    const { received, target } = await receiver((response, { body }) => {
      response.writeHead(body.split("\n").length > 3 ? 413 : 200).end();
    });
    assert.equal(await target.send(records(16), never), 2);
    assert.equal(await target.send(records(16), never), 2);
    assert.equal(received.length, 5);
    const small = await receiver(answering(413));
    await assert.rejects(small.target.send(records(2), never), RecordRefused);
  });

  it("is called by its origin alone: its path may be a secret", async () => {
    const { target } = await receiver(answering(200));
    assert.match(target.label, /^webhook http:\/\/127\.0\.0\.1:\d+$/);
    assert.match(target.id, /^[0-9a-f]{16}$/);
  });

  for (const url of [
    "",
    "hook",
    "http://example.com/",
    "http://10.0.0.1/",
    "http://127.0.0.1.example.com/",
    "ftp://127.0.0.1/",
    "file:///etc/passwd",
    "https://user:secret@example.com/",
    "https://secret@example.com/",
    "https://example.com/#secret",
  ])
    it(`is not ${url === "" ? "nothing" : url}`, () => {
      assert.throws(
        () => parseWebhookUrl(url),
        (error: unknown) => error instanceof RangeError && !error.message.includes("secret"),
      );
    });

  it("needs a secret of 16 bytes", () => {
    using secret = SecretBuffer.random(15);
    assert.throws(() => new WebhookTarget({ url: "https://example.com/", secret }), RangeError);
  });
});
