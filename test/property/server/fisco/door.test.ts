import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import fc from "fast-check";
import { type FiscoDoor, startFiscoDoor } from "../../../../src/server/fisco/door.ts";
import { fakeCustody, secret } from "../../../fisco-stand-in/fake-custody.ts";
import { bodyOf, fiscoCall, post, rawExchange } from "../../../fisco-stand-in/raw-exchange.ts";
import { scaled, seed } from "../../../run-settings.ts";

for (const mode of ["standard", "sm"] as const)
  describe(`the FISCO door under random input, ${mode}`, () => {
    const faults: unknown[] = [];
    let door: FiscoDoor;
    let golden = "";
    before(async () => {
      const options = { host: "127.0.0.1", port: 0, mode, superKey: secret("123xyz"), operatorCalls: true };
      door = await startFiscoDoor(fakeCustody(), { ...options, onFault: (error) => faults.push(error) });
      golden = (await fiscoCall(door.address.port, "encDataKey", "123456")).dataKey;
    });
    after(async () => {
      await door.close();
      assert.deepEqual(faults, []);
    });
    const alive = async () => {
      assert.equal((await fiscoCall(door.address.port, "decDataKey", golden)).dataKey, "313233343536");
    };

    it("answers any body with JSON that holds one answer for each call, and lives on", async () => {
      const text = fc.oneof(
        fc.string(),
        fc.string({ unit: "grapheme" }),
        fc.constant(golden),
        fc.constantFrom("", "0x", "zz"),
      );
      const call = fc.record(
        {
          jsonrpc: fc.constantFrom("2.0", 2),
          id: fc.oneof(fc.integer(), text, fc.constant(null)),
          method: fc.constantFrom("decDataKey", "encDataKey", "encWithCipherKey", "sayHello", "x"),
          params: fc.oneof(fc.array(text, { maxLength: 3 }), fc.record({ name: text })),
        },
        { requiredKeys: [] },
      );
      const body = fc.oneof(
        fc.array(call, { maxLength: 5 }).map((calls) => JSON.stringify(calls)),
        call.map((one) => JSON.stringify(one)),
        fc.string({ unit: "binary" }),
      );
      await fc.assert(
        fc.asyncProperty(body, async (sent) => {
          const answer = await rawExchange(door.address.port, post(door.address.port, sent));
          assert.match(answer, /^HTTP\/1\.1 200 OK\r\n/);
          const got = bodyOf(answer);
          if (Array.isArray(got)) assert.equal(got.length, (JSON.parse(sent) as unknown[]).length);
        }),
        { seed, numRuns: scaled(4000) },
      );
      await alive();
    });

    it("survives any bytes on the socket", async () => {
      const request = post(1, `{"id":83,"jsonrpc":"2.0","method":"decDataKey","params":["${golden}"]}`);
      const bytes = fc.oneof(
        fc.uint8Array({ maxLength: 300 }),
        fc.tuple(fc.nat(request.length - 1), fc.uint8Array({ minLength: 1, maxLength: 4 })).map(([at, patch]) => {
          const mutated = Buffer.from(request);
          mutated.set(patch.subarray(0, mutated.length - at), at);
          return mutated;
        }),
      );
      await fc.assert(
        fc.asyncProperty(bytes, async (sent) => {
          await sendAndLeave(door.address.port, Buffer.from(sent));
        }),
        { seed, numRuns: scaled(2000) },
      );
      await alive();
    });

    const calls = scaled(800);
    it(`mixes no answers: 8 callers, ${calls} calls each, every answer the right one`, async () => {
      await Promise.all(
        Array.from({ length: 8 }, async (_, caller) => {
          const agent = new KeptConnection(door.address.port);
          for (let index = 0; index < calls; index++) {
            const id = caller * calls + index;
            const dataKey = `key-${id}`;
            const made = await agent.call(id, "encDataKey", dataKey);
            const opened = await agent.call(`s${id}`, "decDataKey", made);
            assert.equal(Buffer.from(opened, "hex").toString(), dataKey);
            if (index % 8 !== 0) continue;
            const file = Buffer.alloc(4096, `${id} `).toString("base64");
            const encrypted = await agent.call(id, "encWithCipherKey", file, made);
            assert.equal(encrypted, await agent.call(id, "encWithCipherKey", file, made));
            assert.equal(encrypted.length, 2 * (file.length + 16 - (file.length % 16)));
          }
        }),
      );
    });
  });

async function sendAndLeave(port: number, bytes: Buffer): Promise<void> {
  const { connect } = await import("node:net");
  await new Promise<void>((resolve) => {
    const socket = connect({ host: "127.0.0.1", port });
    socket.on("close", () => resolve());
    socket.on("error", () => {});
    socket.resume();
    socket.end(bytes);
    setTimeout(() => socket.destroy(), 200).unref();
  });
}

/** fetch keeps connections; one caller's calls follow each other. */
class KeptConnection {
  readonly #url: string;

  constructor(port: number) {
    this.#url = `http://127.0.0.1:${port}/`;
  }

  async call(id: number | string, method: string, ...params: readonly string[]): Promise<string> {
    const answer = await fetch(this.#url, {
      method: "POST",
      body: JSON.stringify({ id, jsonrpc: "2.0", method, params }),
    });
    const body = (await answer.json()) as { id: unknown; result: { dataKey: string; error: number } };
    assert.equal(body.id, id);
    assert.equal(body.result.error, 0);
    return body.result.dataKey;
  }
}
