import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { afterEach, beforeEach, describe, it } from "node:test";
import { connect as tlsConnect } from "node:tls";
import { SecretBuffer } from "../../../../src/crypto/secret-buffer.ts";
import { maxRequestBytes } from "../../../../src/server/aws/dispatch.ts";
import { rawExchange } from "../../../fisco-stand-in/raw-exchange.ts";
import { type Reply, type RunningDoor, replyOf, startDoor, userNamed } from "./running-door.ts";
import { exampleKey, type RequestToSign, sign, wire, withHeader } from "./signed-request.ts";

describe("the AWS door", () => {
  let door: RunningDoor;
  beforeEach(async () => {
    door = await startDoor();
  });
  afterEach(() => door[Symbol.asyncDispose]());

  const send = (options?: RequestToSign): Promise<Reply> => door.send(sign(options));
  const assertFailure = (reply: Reply, type: string, message?: string, status = 400) => {
    assert.equal(reply.status, status, reply.body);
    const wanted = message === undefined ? { __type: type } : { __type: type, message };
    assert.deepEqual(JSON.parse(reply.body), wanted);
  };

  it("answers in the form that AWS clients expect", async () => {
    const reply = await send({ body: '{"KeyId": "x", "List": [1, -2.5e1, true, "é"], "Gone": null}' });
    assert.equal(reply.status, 200);
    const { Echo } = JSON.parse(reply.body);
    assert.deepEqual(JSON.parse(Echo), { KeyId: "x", List: [1, -25, true, "é"] });
    assert.match(reply.headers.get("x-amzn-requestid") ?? "", /^[0-9a-f-]{36}$/);
    assert.equal(reply.headers.get("content-type"), "application/x-amz-json-1.1");
    assert.equal(reply.headers.get("cache-control"), "no-cache, no-store");
    assert.equal(reply.headers.get("date"), "Wed, 04 Mar 2026 05:06:07 GMT");
  });

  it("answers an operation without an output with an empty body", async () => {
    const reply = await send({ target: "Empty", body: "" });
    assert.deepEqual([reply.status, reply.headers.get("content-length"), reply.body], [200, "0", ""]);
  });

  it("tells custody who calls, from where, with which program and access key", async () => {
    await send({ headers: { "user-agent": `a\xff${"x".repeat(300)}` } });
    const caller = door.callers.at(-1);
    assert.equal(caller?.principal, "arn:aws:iam::123456789012:user/alice");
    assert.equal(caller.door, "aws");
    assert.equal(caller.peer, "127.0.0.1");
    assert.equal(caller.accessKeyId, exampleKey.id);
    assert.equal(caller.userAgent, `a?${"x".repeat(254)}`);
  });

  it("decodes a secret straight from the request, answers it in base64 and wipes both", async () => {
    const reply = await send({ target: "Seal", body: '{"Plaintext":"c2VjcmV0"}' });
    assert.deepEqual(JSON.parse(reply.body), { Plaintext: "c2VjcmV0", CiphertextBlob: "YmxvYg==" });
    assert.equal(door.secrets.length, 2);
    for (const secret of door.secrets) assert.equal(secret.disposed, true);
  });

  it("answers over TLS 1.2 and 1.3, and over plain HTTP on loopback", async () => {
    const request = wire(sign());
    for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
      const ca = door.authority.serverIssuerPem;
      const socket = tlsConnect({ host: "127.0.0.1", port: door.port, ca, minVersion: version, maxVersion: version });
      await once(socket, "secureConnect");
      assert.equal(socket.getProtocol(), version);
      socket.write(request);
      const [answer] = await once(socket, "data");
      assert.equal(replyOf(String(answer)).status, 200);
      socket.destroy();
    }
    assert.equal(replyOf(await rawExchange(door.port, request)).status, 200);
    assert.deepEqual(
      door.callers.slice(-3).map(({ secureTransport }) => secureTransport),
      [true, true, false],
    );
  });

  it("refuses TLS 1.1", async () => {
    const ca = door.authority.serverIssuerPem;
    const versions = { minVersion: "TLSv1.1", maxVersion: "TLSv1.1", ciphers: "DEFAULT@SECLEVEL=0" } as const;
    const socket = tlsConnect({ host: "127.0.0.1", port: door.port, ca, ...versions });
    await assert.rejects(once(socket, "secureConnect"));
  });

  it("answers requests of one connection in turn, also when they come in one piece", async () => {
    const socket = connect({ host: "127.0.0.1", port: door.port });
    const requests = ["1", "2", "3"].map((text) => wire(sign({ body: JSON.stringify({ text }) })));
    const refused = wire(withHeader(sign(), "host", () => "other"));
    socket.write(Buffer.concat([...requests, refused, ...requests]));
    let text = "";
    for await (const piece of socket) {
      text += String(piece);
      if (text.split("HTTP/1.1 ").length > 7 && text.endsWith("}")) break;
    }
    const answers = text.split("HTTP/1.1 ").slice(1);
    assert.deepEqual(
      answers.map((answer) => answer.slice(0, 3)),
      ["200", "200", "200", "400", "200", "200", "200"],
    );
    assert.deepEqual(
      [...text.matchAll(/\\"text\\":\\"(\d)\\"/g)].map(([, each]) => each),
      ["1", "2", "3", "1", "2", "3"],
    );
  });

  it("verifies a request that comes byte by byte, and one in chunks", async () => {
    const socket = connect({ host: "127.0.0.1", port: door.port, noDelay: true });
    const bytes = wire(sign({ body: '{"a":"b"}' }));
    for (const byte of bytes) socket.write(Buffer.of(byte));
    const [answer] = await once(socket, "data");
    assert.equal(replyOf(String(answer)).status, 200);
    socket.destroy();
    const { headers, body, ...line } = sign({ body: '{"a":"b"}', headers: { "transfer-encoding": "chunked" } });
    const chunks = Buffer.from(
      [...body.toString()]
        .map((each) => `1\r\n${each}\r\n`)
        .join("")
        .concat("0\r\n\r\n"),
    );
    assert.equal((await door.send({ ...line, headers, body: chunks })).status, 200);
  });

  it("refuses what is not JSON, is nested too deep, names a member twice or is no object", async () => {
    const deep = `{"a":${"[".repeat(40)}${"]".repeat(40)}}`;
    const wrong = [
      "{",
      "[]",
      "1",
      '"a"',
      "null",
      "{} {}",
      '{"a":1,"a":2}',
      '{"a":1,"\\u0061":2}',
      deep,
      '{"a":01}',
      "{'a':1}",
    ];
    const names = ['{"__proto__":{}}', '{"a":{"\\u005f_proto__":1}}', '{"a":[{"__proto__":1}]}'];
    const bytes = [
      Buffer.from('{"a":"\xff"}', "latin1"),
      Buffer.from('{"a":"\ud800"}', "utf16le"),
      '{"a":"\\ud800"}',
      '{"a":"\n"}',
    ];
    for (const body of [...wrong, ...names, ...bytes]) assertFailure(await send({ body }), "SerializationException");
    assert.deepEqual(door.callers, []);
  });

  it("refuses secrets that are not base64", async () => {
    for (const value of ['"?"', '"YQ"', '"YR=="', '"Y Q=="', "1", "{}", '["YQ=="]'])
      assertFailure(await send({ target: "Seal", body: `{"Plaintext":${value}}` }), "SerializationException");
  });

  it("does not know other operations, protocols, paths and methods", async () => {
    const other: RequestToSign[] = [
      { target: "Nothing" },
      { headers: { "x-amz-target": "Echo" } },
      { headers: { "x-amz-target": "trentservice.Echo" } },
      { headers: { "x-amz-target": "TrentService.Echo.Echo" } },
      { headers: { "x-amz-target": "TrentService.__proto__" } },
      { headers: { "x-amz-target": "DynamoDB_20120810.Echo" } },
      { headers: { "content-type": "application/json" } },
      { headers: { "content-type": undefined } },
      { url: "/other" },
      { url: "/?a=b" },
      { method: "PUT" },
    ];
    for (const options of other) assertFailure(await send(options), "UnknownOperationException");
    assert.deepEqual(door.callers, []);
  });

  it("names operations of AWS that are not here as unsupported", async () => {
    assertFailure(await send({ target: "CreateCustomKeyStore" }), "UnsupportedOperationException");
  });

  it("puts a known caller's malformed request on record, and counts a stranger's", async () => {
    await send({ body: "{" });
    await send({ target: "Nothing" });
    await send({ target: "Seal" });
    await send({ key: { id: "AKIAUNKNOWN", secret: "x" } });
    await send({ key: { id: exampleKey.id, secret: "x" } });
    const alice = "arn:aws:iam::123456789012:user/alice";
    assert.deepEqual(door.recorded, [
      `${alice} aws:Echo SerializationException`,
      `${alice} aws:unknown UnknownOperationException`,
      `${alice} aws:Seal ValidationException`,
    ]);
    assert.deepEqual(door.counted, ["127.0.0.1 UnrecognizedClientException", "127.0.0.1 InvalidSignatureException"]);
  });

  it("answers a fault that nobody foresaw with KMSInternalException, and tells only the log what it was", async () => {
    const reply = await send({ target: "Break" });
    assert.equal(reply.status, 500);
    assert.equal(JSON.parse(reply.body).__type, "KMSInternalException");
    assert.ok(!reply.body.includes("foresaw"));
    assert.deepEqual(door.unexpected, ["Error: a fault that nobody foresaw"]);
    assert.deepEqual(door.recorded, []);
  });

  it("refuses a body that is too large, announced or not, before it has all come", async () => {
    const head = sign();
    const announced = Buffer.from(
      wire({ ...head, body: Buffer.alloc(0) })
        .toString("latin1")
        .replace("content-length: 0", `content-length: ${maxRequestBytes + 1}`),
    );
    const chunked = wire({
      ...head,
      headers: [...head.headers, ["transfer-encoding", "chunked"]],
      body: Buffer.alloc(0),
    });
    const size = (maxRequestBytes + 1).toString(16);
    const pieces = Buffer.concat([chunked, Buffer.from(`${size}\r\n`), Buffer.alloc(maxRequestBytes + 1, 0x20)]);
    for (const bytes of [announced, pieces]) {
      const reply = replyOf(await rawExchange(door.port, bytes));
      assert.equal(reply.status, 413);
      assert.equal(JSON.parse(reply.body).__type, "RequestEntityTooLargeException");
      assert.equal(reply.headers.get("connection"), "close");
    }
    assert.deepEqual(door.callers, []);
  });

  it("takes a body of the largest size", async () => {
    const body = `{"a":"${"x".repeat(maxRequestBytes - 8)}"}`;
    assert.equal((await send({ body })).status, 200);
  });

  it("refuses a stranger's request before its body has come", async () => {
    const { headers, ...request } = sign();
    const bytes = wire({
      ...request,
      headers: headers.filter(([name]) => name !== "authorization"),
      body: Buffer.alloc(0),
    });
    const waiting = bytes.toString("latin1").replace("content-length: 0", "content-length: 1000");
    const reply = replyOf(await rawExchange(door.port, waiting));
    assertFailure(reply, "MissingAuthenticationTokenException", "Missing Authentication Token");
    assert.equal(reply.headers.get("connection"), "close");
  });

  it("refuses an access key from the request on that ends after it was disabled", async () => {
    const bytes = wire(sign({ body: '{"a":"b"}' }));
    const socket = connect({ host: "127.0.0.1", port: door.port });
    socket.write(bytes.subarray(0, bytes.length - 1));
    await send();
    door.users.delete(exampleKey.id);
    socket.write(bytes.subarray(bytes.length - 1));
    const [answer] = await once(socket, "data");
    assertFailure(
      replyOf(String(answer)),
      "UnrecognizedClientException",
      "The security token included in the request is invalid.",
    );
    socket.destroy();
    assert.equal(door.callers.length, 1);
  });

  it("lets a caller go that leaves in the middle of its request", async () => {
    const bytes = wire(sign({ body: '{"a":"b"}' }));
    const socket = connect({ host: "127.0.0.1", port: door.port });
    await new Promise((resolve) => socket.write(bytes.subarray(0, bytes.length - 1), resolve));
    socket.destroy();
    assert.equal((await send()).status, 200);
    assert.deepEqual([door.callers.length, door.unexpected], [1, []]);
  });

  it("counts requests by door, operation and result", async () => {
    await send();
    await send({ target: "Nothing" });
    const text = await door.metrics.registry.metrics();
    assert.match(text, /strongroom_requests_total\{door="aws",action="Echo",result="done"\} 1/);
    assert.match(text, /strongroom_requests_total\{door="aws",action="unknown",result="UnknownOperationException"\} 1/);
  });
});

describe("the AWS door's limits", () => {
  const throttled = {
    __type: "ThrottlingException",
    message: "You have exceeded the rate at which you may call KMS. Reduce the frequency of your calls.",
  };

  it("refuse a principal that calls too often, and no other", async () => {
    await using door = await startDoor({ rate: { perSecond: 0.001, burst: 2 } });
    const bob = { id: "AKIABOB", secret: "bob's secret" };
    const secret = SecretBuffer.take(Buffer.from(bob.secret));
    door.users.set(bob.id, { principal: userNamed("bob"), secret, version: 1 });
    const statuses = [];
    for (let index = 0; index < 4; index++) statuses.push((await door.send(sign())).status);
    assert.deepEqual(statuses, [200, 200, 400, 400]);
    assert.deepEqual(JSON.parse((await door.send(sign())).body), throttled);
    assert.equal((await door.send(sign({ key: bob }))).status, 200);
    assert.match(door.recorded[0] ?? "", /alice aws:Echo ThrottlingException$/);
  });

  it("tell strangers that call too often only that, and leave principals of the same address alone", async () => {
    await using door = await startDoor();
    const stranger = sign({ key: { id: "AKIAUNKNOWN", secret: "x" } });
    const types = new Set<string>();
    let last = "";
    for (let index = 0; index < 200 && last !== throttled.__type; index++) {
      last = JSON.parse((await door.send(stranger)).body).__type;
      types.add(last);
    }
    assert.deepEqual([...types], ["UnrecognizedClientException", "ThrottlingException"]);
    assert.equal((await door.send(sign())).status, 200);
  });
});
