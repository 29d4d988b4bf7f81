import assert from "node:assert/strict";
import { request } from "node:http";
import { Server } from "node:net";
import { describe, it, mock } from "node:test";
import { isLoopback, maxRpcBodyBytes, RpcServer } from "../../../../src/chain/rpc/rpc-server.ts";

const methods = new Map([["ping", () => "pong"]]);
const ping = '{"jsonrpc":"2.0","id":1,"method":"ping"}';

function post(
  port: number,
  body: string | Buffer,
  { method = "POST", headers = {} }: { method?: string; headers?: Record<string, string> } = {},
): Promise<{ status: number | undefined; text: string }> {
  return new Promise((resolve, reject) => {
    const asked = request({ host: "127.0.0.1", port, method, headers, agent: false }, (response) => {
      let text = "";
      response.on("data", (chunk: Buffer) => {
        text += chunk;
      });
      response.on("end", () => resolve({ status: response.statusCode, text }));
    });
    asked.on("error", reject);
    asked.end(body);
  });
}

describe("the RPC server", () => {
  it("answers POST requests", async () => {
    await using server = await RpcServer.start({ host: "127.0.0.1", port: 0 }, methods);
    assert.deepEqual(await post(server.port, ping), { status: 200, text: '{"jsonrpc":"2.0","id":1,"result":"pong"}' });
    assert.equal((await post(server.port, '{"jsonrpc":"2.0","method":"ping"}')).status, 204);
  });

  it("goes on when connections could not be taken", async () => {
    const listening = mock.method(Server.prototype, "listen");
    await using server = await RpcServer.start({ host: "127.0.0.1", port: 0 }, methods);
    const inner = listening.mock.calls[0]?.this;
    mock.restoreAll();
    assert.ok(inner instanceof Server);
    for (const _ of [1, 2, 3]) inner.emit("error", Object.assign(new Error("accept EMFILE"), { code: "EMFILE" }));
    assert.equal((await post(server.port, ping)).status, 200);
  });

  it("refuses what a web page could send", async () => {
    await using server = await RpcServer.start({ host: "127.0.0.1", port: 0 }, methods);
    for (const headers of [
      { origin: "http://localhost" },
      { host: "evil.example" },
      { host: "127.0.0.1.evil.example:80" },
    ])
      assert.equal((await post(server.port, ping, { headers: headers as Record<string, string> })).status, 403);
  });

  it("refuses other methods of HTTP", async () => {
    await using server = await RpcServer.start({ host: "127.0.0.1", port: 0 }, methods);
    for (const method of ["GET", "PUT", "OPTIONS"]) assert.equal((await post(server.port, "", { method })).status, 405);
  });

  it("refuses a body over its limit", async () => {
    await using server = await RpcServer.start({ host: "127.0.0.1", port: 0 }, methods);
    const outcome = await post(server.port, Buffer.alloc(maxRpcBodyBytes + 1, 32)).catch(() => ({ status: 413 }));
    assert.equal(outcome.status, 413);
  });

  it("does not listen where others could reach it", async () => {
    for (const host of ["0.0.0.0", "::", "192.0.2.1", "example.com"])
      await assert.rejects(RpcServer.start({ host, port: 0 }, methods), RangeError);
    assert.deepEqual(["127.0.0.1", "127.9.9.9", "::1", "localhost"].map(isLoopback), [true, true, true, true]);
  });
});
