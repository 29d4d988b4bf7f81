import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  encodeHexBytes,
  joinAnswers,
  maxBatchCalls,
  readFiscoRequest,
  readHexParameter,
  writeGreeting,
  writeResult,
} from "../../../src/client/fisco-json-rpc.ts";

function onlyCall(body: string | Buffer) {
  const request = readFiscoRequest(Buffer.from(body));
  const [call] = request.calls;
  assert.ok(call !== undefined && request.calls.length === 1);
  return call;
}

function errorOf(body: string) {
  const call = onlyCall(body);
  assert.equal(call.method, null);
  return { id: call.id, error: call.error };
}

const good = '"jsonrpc":"2.0","method":"decDataKey","params":["00"]';

describe("FISCO's JSON-RPC requests", () => {
  it("reads the node's call", () => {
    const call = onlyCall('{"id":83,"jsonrpc":"2.0","method":"decDataKey","params":["ed15"]}\n');
    assert.deepEqual(call, { id: "83", method: "decDataKey", params: [Buffer.from("ed15")] });
  });

  it("wipes every parameter with the body", () => {
    const body = Buffer.from(String.raw`{"id":1,"jsonrpc":"2.0","method":"encDataKey","params":["s\u0065cret"]}`);
    const call = readFiscoRequest(body).calls[0];
    assert.ok(call?.method === "encDataKey");
    assert.equal(call.params[0]?.toString(), "secret");
    body.fill(0);
    assert.equal(call.params[0]?.toString(), "\0".repeat(6));
  });

  it("echoes string, null, negative and 64-bit ids exactly", () => {
    for (const id of ['"abc"', "null", "-1", "0", "1099511627776", "18446744073709551615", "-9223372036854775808"])
      assert.equal(onlyCall(`{${good},"id":${id}}`).id, id);
  });

  it("writes a string id as the original does: upper-case digits in an escape, text beyond ASCII as it is", () => {
    assert.equal(onlyCall(String.raw`{${good},"id":"\u001f\u5bc6\/\t"}`).id, String.raw`"\u001F密/\t"`);
  });

  it("leaves an id alone that only looks like an escape", () => {
    assert.equal(onlyCall(String.raw`{${good},"id":"\\\\u00ab"}`).id, String.raw`"\\\\u00ab"`);
  });

  it("refuses ids that are fractions, over 64 bits, objects or booleans", () => {
    for (const id of [
      "1.5",
      "1e2",
      "18446744073709551616",
      "-9223372036854775809",
      "{}",
      "[]",
      "true",
      `${"9".repeat(99)}`,
    ])
      assert.deepEqual(errorOf(`{${good},"id":${id}}`), { id: "null", error: "invalidRequest" }, id);
  });

  it("answers a call without an id as a notification, after the method is known and before the parameters are read", () => {
    assert.deepEqual(errorOf(`{${good}}`), { id: "null", error: "notification" });
    assert.deepEqual(errorOf('{"jsonrpc":"2.0","method":"decDataKey"}'), { id: "null", error: "notification" });
    assert.deepEqual(errorOf('{"jsonrpc":"2.0","method":"other"}'), { id: "null", error: "methodNotFound" });
  });

  it("finds no method among the properties of every object", () => {
    for (const method of ["__proto__", "constructor", "toString", "hasOwnProperty", "", "DecDataKey"])
      assert.deepEqual(errorOf(`{"jsonrpc":"2.0","method":"${method}","params":["00"],"id":1}`), {
        id: "1",
        error: "methodNotFound",
      });
  });

  it("refuses parameters of another type, count or form", () => {
    for (const params of ["[]", "[1]", "[null]", '["a","b"]', '{"0":"a"}', "null", "[[]]"])
      assert.deepEqual(errorOf(`{"jsonrpc":"2.0","method":"decDataKey","params":${params},"id":1}`), {
        id: "1",
        error: "invalidParams",
      });
    assert.equal(errorOf('{"jsonrpc":"2.0","method":"decDataKey","params":"a","id":1}').error, "invalidRequest");
    assert.equal(errorOf('{"jsonrpc":"2.0","method":"sayHello","params":{"nom":"a"},"id":1}').error, "invalidParams");
  });

  it("answers an empty or too long batch as one invalid request", () => {
    assert.deepEqual(readFiscoRequest(Buffer.from("[]")), {
      batch: false,
      calls: [{ id: "null", method: null, error: "invalidRequest" }],
    });
    const batch = (calls: number) => Buffer.from(`[${Array(calls).fill(`{${good},"id":1}`).join(",")}]`);
    assert.equal(readFiscoRequest(batch(maxBatchCalls)).calls.length, maxBatchCalls);
    assert.equal(readFiscoRequest(batch(maxBatchCalls + 1)).batch, false);
  });

  it("keeps good and bad calls of a batch apart", () => {
    const request = readFiscoRequest(Buffer.from(`[1,{${good},"id":7},{"id":8}]`));
    assert.deepEqual(
      request.calls.map((call) => [call.id, call.method]),
      [
        ["null", null],
        ["7", "decDataKey"],
        ["8", null],
      ],
    );
  });
});

describe("FISCO's hex parameters", () => {
  for (const [text, hex] of [
    ["0xED15", "ed15"],
    ["ED15", "ed15"],
    ["ed1", "0ed1"],
    ["0x", ""],
    ["", ""],
    ["zz", ""],
    ["ed 15", ""],
    ["0Xed", ""],
    ["ｅｄ", ""],
  ] as const)
    it(`reads ${JSON.stringify(text)} as ${JSON.stringify(hex)}`, () => {
      assert.equal(readHexParameter(Buffer.from(text)), hex);
    });

  it("writes bytes in lower case", () => {
    assert.equal(encodeHexBytes(Buffer.from([0, 0x0f, 0xf0, 0xff])).toString(), "000ff0ff");
  });
});

describe("FISCO's JSON-RPC answers", () => {
  it("puts a batch's answers in one array and wipes the pieces", () => {
    const pieces = [writeResult("1", Buffer.from("ab"), 0, "success"), writeGreeting("2", Buffer.from('b"b'))];
    const body = joinAnswers(true, pieces).toString();
    assert.equal(
      body,
      '[{"id":1,"jsonrpc":"2.0","result":{"dataKey":"ab","error":0,"info":"success"}},{"id":2,"jsonrpc":"2.0","result":"Hello: b\\"b"}]\n',
    );
    for (const piece of pieces) assert.ok(piece.every((byte) => byte === 0));
  });
});
