import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import {
  joinAnswers,
  readFiscoRequest,
  readHexParameter,
  writeError,
  writeResult,
} from "../../../src/client/fisco-json-rpc.ts";
import { type JsonNode, JsonSyntaxError, readJsonPrefix } from "../../../src/client/json-bytes.ts";
import { scaled, seed } from "../../run-settings.ts";

const settings = { seed, numRuns: scaled(20_000) };

function plain(node: JsonNode): unknown {
  if (node.kind === "string") return node.bytes.toString("utf8");
  if (node.kind === "number") return Number(node.text);
  if (node.kind === "literal") return JSON.parse(node.text);
  if (node.kind === "array") return node.items.map(plain);
  const object: Record<string, unknown> = Object.create(null);
  for (const [name, member] of node.members) object[name] = plain(member);
  return object;
}

function normal(value: unknown): string {
  return JSON.stringify(value);
}

describe("the JSON-RPC codec under random input", () => {
  it("reads what JSON.stringify writes as JSON.parse does", () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 6 }), fc.boolean(), (value, escaped) => {
        let text = JSON.stringify(value);
        if (escaped)
          text = text.replace(/[\u0080-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
        assert.equal(normal(plain(readJsonPrefix(Buffer.from(text)))), normal(JSON.parse(text)));
      }),
      settings,
    );
  });

  it("accepts no text that JSON.parse refuses, but for what follows the value", () => {
    const soup = fc.string({
      unit: fc.constantFrom(...'{}[]",:\\u0041tfn1-.e \n'.split(""), "true", "null", '"a"'),
      maxLength: 30,
    });
    fc.assert(
      fc.property(soup, (text) => {
        let accepted: unknown;
        try {
          accepted = plain(readJsonPrefix(Buffer.from(text)));
        } catch (error) {
          assert.ok(error instanceof JsonSyntaxError, String(error));
          return;
        }
        const wanted = normal(accepted);
        const prefixes = Array.from({ length: text.length }, (_, index) => text.slice(0, index + 1));
        assert.ok(
          prefixes.some((prefix) => {
            try {
              return normal(JSON.parse(prefix)) === wanted;
            } catch {
              return false;
            }
          }),
          text,
        );
      }),
      settings,
    );
  });

  it("turns any bytes into calls, and every answer into JSON, without throwing", () => {
    const call = fc.record(
      {
        jsonrpc: fc.constantFrom("2.0", "1.0", 2, null),
        id: fc.oneof(fc.jsonValue(), fc.integer(), fc.string()),
        method: fc.constantFrom("decDataKey", "encDataKey", "encWithCipherKey", "sayHello", "__proto__", "toString", 1),
        params: fc.oneof(fc.array(fc.string()), fc.record({ name: fc.string() }), fc.jsonValue()),
      },
      { requiredKeys: [] },
    );
    const body = fc.oneof(
      fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
      fc.oneof(call, fc.array(call, { maxLength: 4 })).map((value) => Buffer.from(JSON.stringify(value))),
    );
    fc.assert(
      fc.property(body, (bytes) => {
        const request = readFiscoRequest(bytes);
        assert.ok(request.calls.length > 0);
        const answers = request.calls.map((one) =>
          one.method === null ? writeError(one.id, one.error) : writeResult(one.id, "00", 0, "success"),
        );
        const text = joinAnswers(request.batch, answers).toString("utf8");
        assert.ok(text.endsWith("\n"));
        const answer: unknown = JSON.parse(text);
        assert.equal(Array.isArray(answer), request.batch);
      }),
      settings,
    );
  });

  it("keeps every integer id of 64 bits digit for digit", () => {
    fc.assert(
      fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n - 1n }), (id) => {
        const body = Buffer.from(`{"jsonrpc":"2.0","method":"decDataKey","params":["00"],"id":${id}}`);
        assert.equal(readFiscoRequest(body).calls[0]?.id, id.toString());
      }),
      settings,
    );
  });

  it("reads any text as hex of whole bytes or as nothing", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 70 }), (bytes) => {
        assert.match(readHexParameter(Buffer.from(bytes)), /^(?:[0-9a-f]{2})*$/);
      }),
      settings,
    );
  });
});
