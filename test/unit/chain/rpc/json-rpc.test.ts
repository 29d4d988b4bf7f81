import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { answerRpc, maxBatchAnswerCharacters, RpcError, type RpcMethod } from "../../../../src/chain/rpc/json-rpc.ts";
import { scaled, seed } from "../../../run-settings.ts";

const methods = new Map<string, RpcMethod>([
  ["echo", (params) => params],
  [
    "refuse",
    () => {
      throw new RpcError("refused", "not today");
    },
  ],
  [
    "break",
    () => {
      throw new Error("the key is 0102");
    },
  ],
]);

async function answered(call: unknown): Promise<unknown> {
  const text = await answerRpc(typeof call === "string" ? call : JSON.stringify(call), methods);
  return text === undefined ? undefined : JSON.parse(text);
}

describe("JSON-RPC 2.0", () => {
  it("answers a call under its id", async () => {
    assert.deepEqual(await answered({ jsonrpc: "2.0", id: 7, method: "echo", params: [1, "a"] }), {
      jsonrpc: "2.0",
      id: 7,
      result: [1, "a"],
    });
  });

  it("answers a batch in its order, and no notification", async () => {
    const batch = [
      { jsonrpc: "2.0", id: "one", method: "echo" },
      { jsonrpc: "2.0", method: "echo" },
      { jsonrpc: "2.0", id: "two", method: "refuse" },
    ];
    assert.deepEqual(await answered(batch), [
      { jsonrpc: "2.0", id: "one", result: [] },
      { jsonrpc: "2.0", id: "two", error: { code: -32000, message: "not today" } },
    ]);
    assert.equal(await answered({ jsonrpc: "2.0", method: "break" }), undefined);
  });

  it("runs no more calls of a batch whose answers have grown large", async () => {
    let runs = 0;
    const large = new Map<string, RpcMethod>([
      [
        "large",
        () => {
          runs += 1;
          return "x".repeat(maxBatchAnswerCharacters / 2);
        },
      ],
    ]);
    const batch = Array.from({ length: 64 }, (_, id) => ({ jsonrpc: "2.0", id, method: "large" }));
    const text = (await answerRpc(JSON.stringify(batch), large)) ?? "";
    assert.ok(text.length < 1.1 * maxBatchAnswerCharacters, `${text.length} characters`);
    assert.equal(runs, 2);
    const answers = JSON.parse(text) as { id: number; error?: { code: number } }[];
    assert.deepEqual(
      answers.map(({ id, error }) => [id, error?.code]),
      batch.map(({ id }) => [id, id < 2 ? undefined : -32000]),
    );
  });

  for (const [what, call, code] of [
    ["text that is not JSON", "{", -32700],
    ["an empty batch", [], -32600],
    ["a batch of 65", Array(65).fill({ jsonrpc: "2.0", id: 1, method: "echo" }), -32600],
    ["a number", 5, -32600],
    ["null", null, -32600],
    ["another version", { jsonrpc: "1.0", id: 1, method: "echo" }, -32600],
    ["no method", { jsonrpc: "2.0", id: 1 }, -32600],
    ["an id that is an object", { jsonrpc: "2.0", id: {}, method: "echo" }, -32600],
    ["an id that is too long", { jsonrpc: "2.0", id: "x".repeat(129), method: "echo" }, -32600],
    ["a member too many", { jsonrpc: "2.0", id: 1, method: "echo", extra: 1 }, -32600],
    ["parameters by name", { jsonrpc: "2.0", id: 1, method: "echo", params: {} }, -32602],
    ["an unknown method", { jsonrpc: "2.0", id: 1, method: "constructor" }, -32601],
    ["an inherited method", { jsonrpc: "2.0", id: 1, method: "__proto__" }, -32601],
  ] as const)
    it(`refuses ${what} with ${code}`, async () => {
      const answer = (await answered(call)) as { error?: { code: number } };
      assert.equal(answer.error?.code, code);
    });

  it("says nothing of what went wrong inside", async () => {
    assert.deepEqual(await answered({ jsonrpc: "2.0", id: 1, method: "break" }), {
      jsonrpc: "2.0",
      id: 1,
      error: { code: -32603, message: "the node could not answer" },
    });
  });

  it("answers any JSON by an error or a result, never by throwing", async () => {
    await fc.assert(
      fc.asyncProperty(fc.jsonValue(), async (value) => {
        await answerRpc(JSON.stringify(value), methods);
      }),
      { seed, numRuns: scaled(2000) },
    );
  });
});
