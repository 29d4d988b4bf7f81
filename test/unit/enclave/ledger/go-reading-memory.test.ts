import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Worker } from "node:worker_threads";

const source = new URL("../../../../src/enclave/ledger/go-message.ts", import.meta.url).href;
const messages = new URL("../../../../src/enclave/messages/generated/fabric/common_pb.ts", import.meta.url).href;

/** Of an envelope that ends with these bytes again and again, up to 10 MB, what is left, read with little memory. */
function readRepeated(hex: string): Promise<string> {
  const code = `
    import { parentPort } from "node:worker_threads";
    import { readAsGo } from ${JSON.stringify(source)};
    import { EnvelopeSchema } from ${JSON.stringify(messages)};
    const bytes = Buffer.alloc(10 * 2 ** 20 - 10 * 2 ** 20 % ${hex.length / 2}, Buffer.from("${hex}", "hex"));
    const { payload, signature } = readAsGo(EnvelopeSchema, Buffer.concat([Buffer.from("0a0161120162", "hex"), bytes]));
    parentPort.postMessage(Buffer.from(payload).toString() + Buffer.from(signature).toString());
  `;
  const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(code)}`), {
    resourceLimits: { maxOldGenerationSizeMb: 96, maxYoungGenerationSizeMb: 16 },
  });
  return new Promise((resolve, reject) => {
    worker.once("message", resolve);
    worker.once("error", reject);
  });
}

describe("a message with very many fields that are passed over", () => {
  for (const [what, hex] of [
    ["one after the other", "1800"],
    ["in groups", "1b1c"],
    ["between fields that are known", "18000a0161"],
    ["of another wire type under a known number", "0800"],
  ] as const)
    it(`takes no more memory than a few copies of it: ${what}`, async () => {
      assert.equal(await readRepeated(hex), "ab");
    });
});
