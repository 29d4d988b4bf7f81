import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { describe, it } from "node:test";
import { legacyDecryptKeyFile } from "../../../src/crypto/legacy-fisco.ts";
import { SecretBuffer } from "../../../src/crypto/secret-buffer.ts";
import { makeDataKey } from "../../../src/node/make-data-key.ts";
import { updateManifest, withTableFields } from "../../../src/node/manifest-writer.ts";
import { peerUid } from "../../../src/node/peer-uid.ts";
import { sealFile } from "../../../src/node/seal.ts";
import { Sidecar } from "../../../src/node/sidecar.ts";
import { storageSecurityBlock } from "../../../src/node/storage-security.ts";
import { FakeKeyManager, NodeFolder } from "./fake-key-manager.ts";

const nodePem = readFileSync(new URL("../../vectors/fisco-legacy.json", import.meta.url), "utf8");
const plainPem: string = JSON.parse(nodePem).nodeKeyFiles[0].plainPem;

async function running(kind: "fisco" | "fisco-sm", fields: Readonly<Record<string, number>> = {}) {
  const folder = new NodeFolder();
  const keyManager = new FakeKeyManager();
  const made = await makeDataKey(folder.manifest(kind), keyManager);
  const loaded = updateManifest(made.loaded, (text) => withTableFields(text, "sidecar", { port: 0, ...fields }));
  const told: string[] = [];
  const sidecar = await Sidecar.start(loaded, keyManager, (message) => told.push(message));
  return {
    loaded,
    dataKey: made.dataKey,
    keyManager,
    folder,
    told,
    sidecar,
    cipherDataKey: readFileSync(folder.at("data-key.box")).toString("hex"),
    async [Symbol.asyncDispose]() {
      await sidecar.close();
      folder[Symbol.dispose]();
    },
  };
}

/** The bytes that a FISCO BCOS node sends (Boost.Beast), and the whole answer. */
function ask(port: number, cipherDataKey: string, method = "decDataKey"): Promise<string> {
  const body = `{"id":83,"jsonrpc":"2.0","method":"${method}","params":["${cipherDataKey}"]}\n`;
  return exchange(
    port,
    `POST / HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nAccept: */*\r\nContent-Type: application/json\r\n` +
      `Accept-Charset: utf-8\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
  );
}

function exchange(port: number, request: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: "127.0.0.1", port });
    let answer = "";
    socket.setTimeout(10_000, () => socket.destroy(new Error("no answer")));
    socket.on("connect", () => socket.write(request));
    socket.on("data", (chunk) => {
      answer += chunk.toString("latin1");
      const [, length] = /Content-Length: (\d+)/.exec(answer) ?? [];
      const start = answer.indexOf("\r\n\r\n");
      if (length !== undefined && start >= 0 && answer.length >= start + 4 + Number(length)) socket.end();
    });
    socket.on("error", reject);
    socket.on("close", () => resolve(answer));
  });
}

const bodyOf = (answer: string) => answer.slice(answer.indexOf("\r\n\r\n") + 4);
const refusal = /^\{"id":83,"jsonrpc":"2.0","result":\{"dataKey":"","error":1,"info":".*"\}\}\n$/;

describe("a FISCO node's sidecar", () => {
  for (const [kind, mode] of [
    ["fisco", "standard"],
    ["fisco-sm", "sm"],
  ] as const)
    it(`gives an unmodified ${kind} node the data key that opens its node.pem`, async () => {
      await using it = await running(kind);
      const file = it.folder.write("node.pem", plainPem);
      sealFile(it.loaded, it.dataKey, file);
      const answer = await ask(it.sidecar.port, it.cipherDataKey);
      const [head, body] = answer.split("\r\n\r\n");
      assert.match(
        head ?? "",
        /^HTTP\/1\.1 200 OK\r\nDate: [^\r]+ GMT\r\nContent-Type: application\/json\r\nAccess-Control-Allow-Origin: \*\r\nContent-Length: \d+$/,
      );
      const [, hex = ""] =
        /^\{"id":83,"jsonrpc":"2.0","result":\{"dataKey":"([0-9a-f]+)","error":0,"info":"success"\}\}\n$/.exec(
          body ?? "",
        ) ?? [];
      using dataKey = SecretBuffer.take(Buffer.from(hex, "hex"));
      assert.ok(legacyDecryptKeyFile(mode, dataKey, readFileSync(file)).equals(Buffer.from(plainPem)));
      assert.deepEqual(it.keyManager.contexts.at(-1)?.node, "node-1");
    });

  it("names itself and the sealed box in the node's ini block", async () => {
    await using it = await running("fisco");
    assert.match(
      storageSecurityBlock(it.loaded) ?? "",
      new RegExp(
        `^\\[storage_security\\]\nenable=true\nkey_center_url=127.0.0.1:0\ncipher_data_key=${it.cipherDataKey}$`,
      ),
    );
  });

  it("refuses every cipher_data_key but its own, without asking the key manager", async () => {
    await using it = await running("fisco");
    const asked = it.keyManager.asked;
    const flipped = `${it.cipherDataKey.slice(0, -1)}${it.cipherDataKey.endsWith("0") ? "1" : "0"}`;
    for (const other of [
      "",
      "zz",
      "ed157f4588b86d61a2e1745efe71e6ea",
      flipped,
      `${it.cipherDataKey}00`,
      "a".repeat(60_000),
    ])
      assert.match(bodyOf(await ask(it.sidecar.port, other)), refusal);
    assert.equal(it.keyManager.asked, asked);
    assert.match(bodyOf(await ask(it.sidecar.port, it.cipherDataKey.toUpperCase())), /"error":0/);
  });

  it("knows no other method, and answers bad requests as the original does", async () => {
    await using it = await running("fisco");
    for (const method of ["encDataKey", "sayHello", "encWithCipherKey", "other"])
      assert.match(bodyOf(await ask(it.sidecar.port, it.cipherDataKey, method)), /-3260[12]/);
    assert.match(await exchange(it.sidecar.port, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"), /^HTTP\/1.1 405/);
    const post = (more: string, body: string) =>
      `POST / HTTP/1.1\r\nHost: x\r\n${more}Content-Length: ${body.length}\r\n\r\n${body}`;
    assert.match(await exchange(it.sidecar.port, post("", "{")), /-32700/);
    assert.match(await exchange(it.sidecar.port, post("Origin: http://x\r\n", "{}")), /^HTTP\/1.1 403/);
    assert.match(await exchange(it.sidecar.port, post("", "x".repeat(70_000))), /^HTTP\/1.1 413/);
  });

  it("passes a refusal of the key manager on as a failed decryption", async () => {
    await using it = await running("fisco");
    it.keyManager.mood = "refuse";
    assert.match(bodyOf(await ask(it.sidecar.port, it.cipherDataKey)), refusal);
    it.keyManager.mood = "other-key";
    assert.match(bodyOf(await ask(it.sidecar.port, it.cipherDataKey)), refusal);
    assert.ok(it.told.some((message) => message.includes("refused")));
  });

  it("stops when its answers are used up", async () => {
    await using it = await running("fisco", { answers: 2 });
    for (let turn = 0; turn < 2; turn++)
      assert.match(bodyOf(await ask(it.sidecar.port, it.cipherDataKey)), /"error":0/);
    await it.sidecar.closed;
    await assert.rejects(ask(it.sidecar.port || 1, it.cipherDataKey));
  });

  it("stops when its window is over", async () => {
    await using it = await running("fisco", { window_seconds: 1 });
    await it.sidecar.closed;
    assert.ok(it.told.some((message) => message.includes("window")));
  });

  it("closes a connection of another user before it reads a byte", async () => {
    await using it = await running("fisco", { uid: 4_000_000 });
    const answer = await ask(it.sidecar.port, it.cipherDataKey).catch((error: Error) => error.message);
    assert.doesNotMatch(answer, /HTTP/);
    assert.ok(it.told.some((message) => message.includes("4000000 only")));
  });
});

describe("the user at the other end", () => {
  const row = (local: string, remote: string, state: string, uid: string) =>
    `   0: ${local} ${remote} ${state} 00000000:00000000 00:00000000 00000000  ${uid}        0 1 1`;
  const table = (...rows: string[]) => ["  sl  local_address …", ...rows].join("\n");
  const socket = { remoteAddress: "127.0.0.1", remotePort: 4660, localAddress: "127.0.0.1", localPort: 8150 };
  const [theirs, ours] = ["0100007F:1234", "0100007F:1FD6"];

  it("is the owner of the row that is the peer's end", () => {
    const read = () => table(row(ours, theirs, "01", "1"), row(theirs, ours, "01", "1000"));
    assert.equal(peerUid(socket, read), 1000);
  });

  it("is found in the table of IPv6 for a mapped address", () => {
    const mapped = "0000000000000000FFFF0000";
    const read = (file: string) =>
      file.endsWith("6") ? table(row(mapped + theirs, mapped + ours, "01", "7")) : table();
    assert.equal(peerUid({ ...socket, remoteAddress: "::ffff:127.0.0.1" }, read), 7);
  });

  it("is unknown without an established row, for another port, and for garbage", () => {
    for (const text of [
      "",
      table(),
      table(row(theirs, ours, "06", "1000")),
      table(row("0100007F:1235", ours, "01", "1000")),
      table(row(theirs, ours, "01", "root")),
      table(row(theirs, ours, "01", "-1")),
    ])
      assert.equal(
        peerUid(socket, () => text),
        undefined,
      );
    assert.equal(
      peerUid({ ...socket, remoteAddress: "::1" }, () => table()),
      undefined,
    );
    assert.equal(
      peerUid({ ...socket, remoteAddress: undefined as unknown as string }, () => table()),
      undefined,
    );
    assert.equal(
      peerUid(socket, () => {
        throw new Error("no /proc");
      }),
      undefined,
    );
  });
});
