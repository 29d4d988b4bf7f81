import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Exchange } from "../../../src/client/exchange.ts";
import { socketEndpoint } from "../../../src/client/transport.ts";
import { answerFailure, answerJson, dropConnection, type FakeAnswer, fakeServer, staySilent } from "./fake-server.ts";

const nowhere = "/nonexistent/socket";

async function between(
  answers: readonly (FakeAnswer | string)[],
  options: { deadlineMs?: number; attemptMs?: number } = {},
) {
  const servers = await Promise.all(answers.map((each) => (typeof each === "string" ? undefined : fakeServer(each))));
  const exchange = new Exchange(
    servers.map((server) => socketEndpoint(server?.socketPath ?? nowhere)),
    options,
  );
  return {
    exchange,
    seen: () => servers.map((server) => server?.seen.length ?? 0),
    async [Symbol.asyncDispose]() {
      exchange.close();
      for (const server of servers) await server?.[Symbol.asyncDispose]();
    },
  };
}

describe("asking a list of servers", () => {
  it("goes on to the next server when one can't be reached, whatever is asked", async () => {
    await using setup = await between([nowhere, answerJson(200, {})]);
    assert.equal((await setup.exchange.ask("keys.create", Buffer.from("{}"))).status, 200);
    assert.deepEqual(setup.seen(), [0, 1]);
  });

  it("says nothing of a request that was carried out when no connection came up", async () => {
    await using setup = await between([nowhere]);
    await assert.rejects(
      setup.exchange.ask("keys.create", Buffer.from("{}")),
      (error: Error) => /ENOENT/.test(error.message) && !/carried out/.test(error.message),
    );
  });

  it("stays with the server that answered last", async () => {
    await using setup = await between([dropConnection, answerJson(200, {})]);
    await setup.exchange.ask("whoami");
    await setup.exchange.ask("whoami");
    assert.deepEqual(setup.seen(), [1, 2]);
  });

  it("asks the next server after a dropped connection only when asking twice is safe", async () => {
    await using reads = await between([dropConnection, answerJson(200, {})]);
    await reads.exchange.ask("unwrap", Buffer.from("{}"));
    assert.deepEqual(reads.seen(), [1, 1]);
    await using changes = await between([dropConnection, answerJson(200, {})]);
    await assert.rejects(changes.exchange.ask("keys.create", Buffer.from("{}")), {
      code: "UNREACHABLE",
      message: /may have been carried out/,
    });
    assert.deepEqual(changes.seen(), [1, 0]);
  });

  it("sends no change twice for a 503, and a read to the next server", async () => {
    const busy = answerFailure(503, "RECORD_NOT_WRITTEN");
    await using changes = await between([busy, answerJson(200, {})]);
    await assert.rejects(changes.exchange.ask("keys.rotate", Buffer.from("{}")), {
      code: "SERVER",
      serverCode: "RECORD_NOT_WRITTEN",
    });
    assert.deepEqual(changes.seen(), [1, 0]);
    await using reads = await between([busy, answerJson(200, {})]);
    assert.equal((await reads.exchange.ask("unwrap", Buffer.from("{}"))).status, 200);
  });

  it("tells of a 503 when no other server answers", async () => {
    await using setup = await between([answerFailure(503, "STORE_LOCKED"), nowhere]);
    await assert.rejects(setup.exchange.ask("whoami"), { code: "SERVER", serverCode: "STORE_LOCKED", status: 503 });
  });

  it("asks no second server after a refusal", async () => {
    await using setup = await between([answerFailure(403, "ACCESS_DENIED"), answerJson(200, {})]);
    await assert.rejects(setup.exchange.ask("unwrap", Buffer.from("{}")), {
      code: "REFUSED",
      serverCode: "ACCESS_DENIED",
      exitCode: 3,
      requestId: undefined,
    });
    assert.deepEqual(setup.seen(), [1, 0]);
  });

  it("gives a silent server its attempt, then goes on, within the deadline", async () => {
    await using setup = await between([staySilent, answerJson(200, {})], { attemptMs: 500 });
    assert.equal((await setup.exchange.ask("whoami")).status, 200);
    await using silent = await between([staySilent, staySilent, staySilent], { attemptMs: 60, deadlineMs: 80 });
    await assert.rejects(silent.exchange.ask("whoami"), { code: "UNREACHABLE", exitCode: 4 });
    assert.equal(silent.seen()[2], 0);
  });

  it("replaces a kept connection that the server has closed", async () => {
    let asked = 0;
    await using setup = await between([
      (request, response) => {
        asked += 1;
        if (asked === 2) request.socket.destroy();
        else answerJson(200, {})(request, response);
      },
    ]);
    await setup.exchange.ask("whoami");
    assert.equal((await setup.exchange.ask("whoami")).status, 200);
    assert.deepEqual(setup.seen(), [3]);
  });

  it("asks one server that always drops at most twice", async () => {
    await using setup = await between([dropConnection]);
    await assert.rejects(setup.exchange.ask("whoami"), { code: "UNREACHABLE" });
    assert.ok((setup.seen()[0] ?? 0) <= 2);
  });

  const statuses: readonly (readonly [number, string, string])[] = [
    [400, "INPUT_INVALID", "REQUEST_INVALID"],
    [401, "UNAUTHENTICATED", "REFUSED"],
    [404, "KEY_NOT_FOUND", "NOT_FOUND"],
    [409, "ALIAS_EXISTS", "CONFLICT"],
    [409, "KEY_DISABLED", "REFUSED"],
    [500, "INTERNAL", "SERVER"],
    [500, "STATE_TAMPERED", "INTEGRITY"],
    [500, "STATE_ROLLED_BACK", "INTEGRITY"],
  ];
  for (const [status, serverCode, code] of statuses)
    it(`makes ${code} of ${status} ${serverCode}`, async () => {
      await using setup = await between([answerFailure(status, serverCode)]);
      await assert.rejects(setup.exchange.ask("whoami"), { code, serverCode, status });
    });

  const strange: readonly (readonly [string, FakeAnswer])[] = [
    ["an error without JSON", (_request, response) => response.writeHead(500).end("oops")],
    ["an error of another shape", answerJson(500, { message: "x" })],
    ["a redirect", (_request, response) => response.writeHead(302, { location: "http://elsewhere/" }).end()],
    ["bytes that are not HTTP", (request) => request.socket.end("SSH-2.0-OpenSSH\r\n")],
  ];
  for (const [what, answer] of strange)
    it(`makes BAD_ANSWER of ${what}`, async () => {
      await using setup = await between([answer]);
      await assert.rejects(setup.exchange.ask("whoami"), { code: "BAD_ANSWER", exitCode: 1 });
    });

  it("refuses a list without servers", () => {
    assert.throws(() => new Exchange([]), TypeError);
  });
});
