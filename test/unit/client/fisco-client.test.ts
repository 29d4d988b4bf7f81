import assert from "node:assert/strict";
import { createServer, type Server, type ServerResponse } from "node:http";
import { afterEach, describe, it } from "node:test";
import { callFisco, FiscoClientError } from "../../../src/client/fisco-client.ts";

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.close();
    server.closeAllConnections();
  }
});

/** A server that says what `answer` says, and the bodies it got. */
async function serverThat(answer: (response: ServerResponse) => void): Promise<{ port: number; bodies: string[] }> {
  const bodies: string[] = [];
  const server = createServer((request, response) => {
    let body = "";
    request.on("data", (piece) => {
      body += piece;
    });
    request.on("end", () => {
      bodies.push(body);
      answer(response);
    });
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  assert.ok(typeof address === "object" && address !== null);
  return { port: address.port, bodies };
}

const good = '{"id":83,"jsonrpc":"2.0","result":{"dataKey":"6162","error":0,"info":"success"}}\n';

async function failureOf(answer: (response: ServerResponse) => void, timeoutMs = 5000): Promise<FiscoClientError> {
  const { port } = await serverThat(answer);
  try {
    await callFisco({ host: "127.0.0.1", port, timeoutMs }, "decDataKey", [Buffer.from("00")]);
  } catch (error) {
    assert.ok(error instanceof FiscoClientError, String(error));
    return error;
  }
  return assert.fail("the call succeeded");
}

describe("the client of FISCO key managers", () => {
  it("sends a parameter with quotes, backslashes and control characters as one JSON string", async () => {
    const { port, bodies } = await serverThat((response) => response.end(good));
    const text = 'a"b\\c\n\u0001 密';
    const answer = await callFisco({ host: "127.0.0.1", port }, "encDataKey", [Buffer.from(text)]);
    assert.equal(answer.toString(), "6162");
    assert.deepEqual(JSON.parse(bodies[0] ?? ""), { id: 83, jsonrpc: "2.0", method: "encDataKey", params: [text] });
  });

  it("is not left waiting by a server that switches protocols", async () => {
    const switching = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n";
    const failed = await failureOf((response) => response.socket?.end(switching));
    assert.equal(failed.code, "UNREACHABLE");
  });

  it("tells a refusal, with the reason on one line, from an answer that is none", async () => {
    const refusal = '{"id":83,"jsonrpc":"2.0","result":{"dataKey":"","error":1,"info":"no\\n\\u001b[31mway"}}';
    const refused = await failureOf((response) => response.end(refusal));
    assert.equal(refused.code, "REFUSED");
    assert.equal(refused.message, "the key manager answers error 1: no  [31mway");
    const rpc = await failureOf((response) => response.end('{"error":{"code":-32601,"message":"METHOD"},"id":83}'));
    assert.equal(rpc.code, "REFUSED");
  });

  for (const [what, body] of [
    ["text", "hello"],
    ["nothing", ""],
    ["an array", "[]"],
    ["no result", "{}"],
    ["a data key that is a number", '{"result":{"dataKey":1,"error":0}}'],
    ["an error that is a string", '{"result":{"dataKey":"","error":"0"}}'],
    ["no error member", '{"result":{"dataKey":""}}'],
  ] as const)
    it(`takes ${what} for a bad answer`, async () => {
      assert.equal((await failureOf((response) => response.end(body))).code, "BAD_ANSWER");
    });

  it("takes another status and an endless answer for bad answers", async () => {
    assert.equal((await failureOf((response) => response.writeHead(500).end(good))).code, "BAD_ANSWER");
    assert.equal((await failureOf((response) => response.end("x".repeat(5 << 20)))).code, "BAD_ANSWER");
  });

  it("takes a closed port, a cut answer and silence for a key manager that cannot be reached", async () => {
    await assert.rejects(callFisco({ host: "127.0.0.1", port: 1 }, "decDataKey", []), { code: "UNREACHABLE" });
    const cut = await failureOf((response) => {
      response.writeHead(200, { "Content-Length": 100 });
      response.write("{");
      response.socket?.destroy();
    });
    assert.equal(cut.code, "UNREACHABLE");
    assert.equal((await failureOf(() => {}, 50)).code, "UNREACHABLE");
    const stalled = await failureOf((response) => response.writeHead(200, { "Content-Length": 100 }).write("{"), 50);
    assert.equal(stalled.code, "UNREACHABLE");
  });
});
