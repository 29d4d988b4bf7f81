import assert from "node:assert/strict";
import { connect } from "node:net";
import { networkInterfaces } from "node:os";
import { afterEach, describe, it } from "node:test";
import { maxBodyBytes } from "../../../../src/client/fisco-json-rpc.ts";
import { CustodyError } from "../../../../src/custody/errors.ts";
import { type FiscoDoor, type FiscoDoorOptions, startFiscoDoor } from "../../../../src/server/fisco/door.ts";
import { type FakeCustody, fakeCustody, secret } from "../../../fisco-stand-in/fake-custody.ts";
import { bodyOf, fiscoCall, nodeRequest, post, rawExchange } from "../../../fisco-stand-in/raw-exchange.ts";

const golden = "ed157f4588b86d61a2e1745efe71e6ea";
const padding = "StreamTransformationFilter: invalid PKCS #7 block padding found";
const doors: FiscoDoor[] = [];

afterEach(async () => {
  for (const door of doors.splice(0)) await door.close();
});

async function start(options: Partial<FiscoDoorOptions> = {}): Promise<{ port: number; custody: FakeCustody }> {
  const custody = fakeCustody();
  const defaults = { host: "127.0.0.1", port: 0, mode: "standard", operatorCalls: true } as const;
  const door = await startFiscoDoor(custody, { ...defaults, superKey: secret("123xyz"), ...options });
  doors.push(door);
  return { port: door.address.port, custody };
}

function statusOf(answer: string): string {
  return answer.slice(0, answer.indexOf("\r\n"));
}

describe("what the FISCO door opens", () => {
  it("refuses a valid cipherDataKey that nobody registered, before the cipher", async () => {
    const { port, custody } = await start();
    assert.deepEqual(await fiscoCall(port, "decDataKey", golden), { dataKey: "", error: 1, info: padding });
    assert.equal(custody.counts.decryptions, 0);
  });

  it("opens what it made, in any of the spellings the original takes", async () => {
    const { port } = await start();
    await fiscoCall(port, "encDataKey", "123456");
    for (const text of [golden, golden.toUpperCase(), `0x${golden}`, `0x${golden.toUpperCase()}`])
      assert.equal((await fiscoCall(port, "decDataKey", text)).dataKey, "313233343536");
  });

  it("takes the empty data key for a data key", async () => {
    const { port } = await start();
    const { dataKey } = await fiscoCall(port, "encDataKey", "");
    assert.equal(dataKey, "45487c40f53518dbebb17ff9814082a9");
    assert.deepEqual(await fiscoCall(port, "decDataKey", dataKey), { dataKey: "", error: 0, info: "success" });
  });

  it("gives one answer to every key that does not decrypt, whatever the reason", async () => {
    const { port } = await start();
    await fiscoCall(port, "encDataKey", "123456");
    const flipped = `ee${golden.slice(2)}`;
    for (const text of ["00".repeat(16), flipped, golden + golden, "ff".repeat(1280), "00".repeat(16_000)])
      assert.deepEqual(await fiscoCall(port, "decDataKey", text), { dataKey: "", error: 1, info: padding });
  });

  it("answers operators' calls with a result that says so when they are not open, and touches no key", async () => {
    const { port, custody } = await start({ operatorCalls: false });
    for (const [method, ...params] of [["encDataKey", "x"] as const, ["encWithCipherKey", "eA==", golden] as const]) {
      const result = await fiscoCall(port, method, ...params);
      assert.equal(result.error, 1);
      assert.equal(result.dataKey, "");
      assert.match(result.info, /is for operators, who run: strongroom legacy encrypt-/);
    }
    assert.equal(custody.counts.calls, 0);
  });

  it("says in the result that a record could not be written, with HTTP status 200 that nodes survive", async () => {
    const { port, custody } = await start();
    await fiscoCall(port, "encDataKey", "123456");
    custody.failure = new CustodyError("RECORD_NOT_WRITTEN");
    const answer = await rawExchange(port, nodeRequest(port, "decDataKey", [golden]));
    assert.equal(statusOf(answer), "HTTP/1.1 200 OK");
    assert.match(JSON.stringify(bodyOf(answer)), /"dataKey":"","error":1,"info":"strongroom: the audit record/);
  });

  it("tells a peer nothing of an internal failure, and its own log all", async () => {
    const faults: unknown[] = [];
    const { port, custody } = await start({ onFault: (error) => faults.push(error) });
    custody.failure = new Error("inner detail");
    const { info } = await fiscoCall(port, "encDataKey", "123456");
    assert.doesNotMatch(info, /inner detail/);
    assert.deepEqual(faults, [custody.failure]);
  });
});

describe("who may speak to the FISCO door", () => {
  const outside = Object.values(networkInterfaces())
    .flat()
    .find((one) => one !== undefined && one.family === "IPv4" && !one.internal);

  it("closes an address that is not allowed without reading it, and counts it", async () => {
    const { port, custody } = await start({ allow: ["10.0.0.0/8"] });
    assert.equal(await rawExchange(port, nodeRequest(port, "decDataKey", [golden])), "");
    assert.equal(custody.counts.refusals.get("address not allowed"), 1);
    assert.equal(custody.counts.calls, 0);
  });

  it("does not listen on other addresses of the machine by default", {
    skip: outside === undefined && "this machine has no address but loopback",
  }, async () => {
    const { port } = await start();
    const outcome = await new Promise<string>((resolve) => {
      const socket = connect({ host: outside?.address ?? "", port });
      socket.on("connect", () => resolve("connected"));
      socket.on("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? ""));
    });
    assert.equal(outcome, "ECONNREFUSED");
  });

  it("refuses a list of addresses that it can't read", async () => {
    for (const block of ["10.0.0.0/33", "10.0.0", "::1/129", "host.example", "", "10.0.0.0/8/8", "10.0.0.0/-1"])
      await assert.rejects(start({ allow: [block] }), RangeError, block);
  });

  it("refuses requests from web pages, which the original's CORS header lets in", async () => {
    const { port, custody } = await start();
    await fiscoCall(port, "encDataKey", "123456");
    const calls = custody.counts.calls;
    const request = nodeRequest(port, "decDataKey", [golden]);
    for (const header of ["Origin: http://evil.example", "Origin: null", "Sec-Fetch-Site: same-origin"])
      for (const one of [request, request.replace("POST", "OPTIONS"), request.replace("POST", "GET")]) {
        const answer = await rawExchange(port, one.replace("\r\n\r\n", `\r\n${header}\r\n\r\n`));
        assert.equal(statusOf(answer), "HTTP/1.1 403 Forbidden");
        assert.doesNotMatch(answer, /Access-Control|313233/i);
      }
    assert.equal(custody.counts.calls, calls);
  });
});

describe("the FISCO door under bad input", () => {
  it("answers a body over the limit with 413, whether or not its length is announced", async () => {
    const { port } = await start({ operatorCalls: false });
    const body = "x".repeat(maxBodyBytes.nodesOnly + 1);
    assert.equal(statusOf(await rawExchange(port, post(port, body))), "HTTP/1.1 413 Payload Too Large");
    const head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    const chunked = `${head}${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`;
    assert.equal(statusOf(await rawExchange(port, chunked)), "HTTP/1.1 413 Payload Too Large");
    assert.equal((await fiscoCall(port, "decDataKey", golden)).error, 1);
  });

  it("takes a whole key file of 700 KiB where operators call", async () => {
    const { port } = await start();
    await fiscoCall(port, "encDataKey", "123456");
    const { error, dataKey } = await fiscoCall(port, "encWithCipherKey", "QUJD".repeat(175 << 10), golden);
    assert.equal(error, 0);
    assert.equal(dataKey.length, 2 * ((700 << 10) + 16));
  });

  it("reads a chunked body, and answers several requests on one connection in order", async () => {
    const { port } = await start();
    const call = (id: number) => `{"id":${id},"jsonrpc":"2.0","method":"encDataKey","params":["${id}"]}`;
    const one = call(1);
    const head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    const chunked = `${head}5\r\n${one.slice(0, 5)}\r\n${(one.length - 5).toString(16)}\r\n${one.slice(5)}\r\n0\r\n\r\n`;
    const text = await new Promise<string>((resolve) => {
      const socket = connect({ host: "127.0.0.1", port });
      let got = "";
      socket.on("data", (piece) => {
        got += piece;
        if ((got.match(/\n/g)?.length ?? 0) >= 3 * 7) socket.end();
      });
      socket.on("close", () => resolve(got));
      socket.write(chunked + post(port, call(2)) + post(port, call(3)));
      setTimeout(() => socket.end(), 10_000).unref();
    });
    assert.deepEqual(
      [...text.matchAll(/"id":([0-9]+)/g)].map((match) => match[1]),
      ["1", "2", "3"],
    );
  });

  it("closes what is not HTTP, and lives on", async () => {
    const { port } = await start();
    for (const bytes of [
      "\r\n\r\n\0\0",
      "GET\r\n\r\n",
      `POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n`,
      "\x16\x03\x01\x02\x00",
    ])
      assert.equal(await rawExchange(port, bytes), "");
    const twoLengths = "POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    assert.equal(await rawExchange(port, twoLengths), "");
    assert.equal((await fiscoCall(port, "decDataKey", golden)).error, 1);
  });

  it("survives peers that leave in the middle of a request", async () => {
    const { port } = await start();
    for (let cut = 1; cut < 250; cut += 16) {
      const socket = connect({ host: "127.0.0.1", port });
      await new Promise<void>((resolve) => {
        socket.on("close", () => resolve());
        socket.write(nodeRequest(port, "encDataKey", ["123456"]).slice(0, cut), () => socket.destroy());
      });
    }
    assert.equal((await fiscoCall(port, "encDataKey", "123456")).dataKey, golden);
  });

  it("lets one peer hold 256 connections and no more, and still answers others", async () => {
    const { port, custody } = await start();
    const held = await Promise.all(
      Array.from({ length: 256 }, () => {
        const socket = connect({ host: "127.0.0.1", port });
        socket.on("error", () => {});
        return new Promise<typeof socket>((resolve) =>
          socket.write("POST / HTTP/1.1\r\nContent-", () => resolve(socket)),
        );
      }),
    );
    assert.equal(await rawExchange(port, nodeRequest(port, "decDataKey", [golden])), "");
    assert.equal(custody.counts.refusals.get("too many connections"), 1);
    const neighbour = connect({ host: "127.0.0.1", port, localAddress: "127.0.0.2" });
    const answer = await new Promise<string>((resolve) => {
      neighbour.on("data", (piece: Buffer) => resolve(piece.toString("latin1")));
      neighbour.on("close", () => resolve("closed"));
      neighbour.write(nodeRequest(port, "decDataKey", [golden]));
    });
    assert.match(answer, /^HTTP\/1\.1 200 OK/);
    neighbour.destroy();
    await Promise.all(held.map((socket) => new Promise((resolve) => socket.destroy().on("close", resolve))));
    for (let attempt = 0; attempt < 100; attempt++)
      if ((await rawExchange(port, nodeRequest(port, "decDataKey", [golden]))) !== "") return;
    assert.fail("the connections that were closed still count");
  });

  it("lets a refusing peer's failures run out without silencing a node on the same host", async () => {
    const { port, custody } = await start({ failureLimit: { burst: 5, perSecond: 0 } });
    await fiscoCall(port, "encDataKey", "123456");
    assert.equal((await fiscoCall(port, "decDataKey", golden)).error, 0);
    for (let index = 0; index < 20; index++)
      assert.deepEqual(await fiscoCall(port, "decDataKey", "00".repeat(16)), { dataKey: "", error: 1, info: padding });
    assert.equal(custody.counts.refusals.get("too many failures"), 15);
    assert.equal((await fiscoCall(port, "decDataKey", golden)).error, 0);
  });

  it("fails to start on a port in use, and says so", async () => {
    const { port } = await start();
    await assert.rejects(start({ port }), { code: "EADDRINUSE" });
  });
});
