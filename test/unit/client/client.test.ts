import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { KeyManagerClient } from "../../../src/client/client.ts";
import { SecretBuffer } from "../../../src/crypto/secret-buffer.ts";
import { answerJson, type FakeAnswer, fakeServer } from "./fake-server.ts";

const keyHeaders = { "strongroom-key-id": "k", "strongroom-key-version": "3" };
const answerBytes =
  (bytes: Uint8Array, headers: Record<string, string> = keyHeaders): FakeAnswer =>
  (_request, response) => {
    response.writeHead(200, { "content-type": "application/octet-stream", ...headers });
    response.end(bytes);
  };

async function askFake<T>(answer: FakeAnswer, ask: (client: KeyManagerClient) => Promise<T>): Promise<T> {
  await using server = await fakeServer(answer);
  using client = KeyManagerClient.overSocket(server.socketPath);
  return await ask(client);
}

describe("the typed client", () => {
  const unwrap = (client: KeyManagerClient) => client.unwrap({ wrapped: Buffer.from("x"), context: {} });

  it("gives an unwrapped key as a secret with its key's id and version", async () => {
    const opened = await askFake(answerBytes(Buffer.from("plaintext")), unwrap);
    assert.equal(opened.keyId, "k");
    assert.equal(opened.keyVersion, 3);
    assert.equal(`${opened.plaintext}`, "[secret 9 bytes]");
    assert.ok(opened.plaintext.equals(Buffer.from("plaintext")));
  });

  it("sends a plaintext as raw bytes and the rest in a header", async () => {
    let received = "";
    const server: FakeAnswer = (request, response) => {
      received = Buffer.from(String(request.headers["strongroom-input"]), "base64").toString();
      assert.equal(request.headers["content-type"], "application/octet-stream");
      answerJson(200, { keyId: "k", keyVersion: 1, wrapped: "AAAA" })(request, response);
    };
    using plaintext = SecretBuffer.random(32);
    const wrapped = await askFake(server, (client) =>
      client.wrap({ key: "alias/a", context: { node: "n" }, plaintext }),
    );
    assert.deepEqual(JSON.parse(received), { key: "alias/a", context: { node: "n" } });
    assert.deepEqual(wrapped.wrapped, Buffer.alloc(3));
    assert.equal(plaintext.disposed, false);
  });

  const strange: readonly (readonly [string, FakeAnswer])[] = [
    ["without the key's id", answerBytes(Buffer.from("p"), { "strongroom-key-version": "1" })],
    ["without the key's version", answerBytes(Buffer.from("p"), { "strongroom-key-id": "k" })],
    ["without bytes", answerBytes(Buffer.of())],
    ["of JSON", answerJson(200, { plaintext: "AAAA" })],
  ];
  for (const [what, answer] of strange)
    it(`refuses an unwrap's answer ${what}`, async () => {
      await assert.rejects(askFake(answer, unwrap), { code: "BAD_ANSWER" });
    });

  it("refuses lists, objects and wrapped keys of another shape", async () => {
    await assert.rejects(
      askFake(answerJson(200, {}), (client) => client.keys.list()),
      { code: "BAD_ANSWER" },
    );
    await assert.rejects(
      askFake(answerJson(200, "text"), (client) => client.whoami()),
      { code: "BAD_ANSWER" },
    );
    await assert.rejects(
      askFake(answerJson(200, {}), (client) => client.generateDataKey({ key: "k", context: {} })),
      { code: "BAD_ANSWER" },
    );
  });

  it("refuses a server that is not written https://HOST:PORT", () => {
    const identity = { certificatePem: "", privateKeyPem: SecretBuffer.random(1) };
    for (const server of ["http://127.0.0.1:1", "127.0.0.1:1", "https://127.0.0.1:1/v1", "https://u@127.0.0.1:1", ""])
      assert.throws(() => KeyManagerClient.overTls({ servers: [server], caPem: "", identity }), Error, server);
  });

  it("says that nobody is there", async () => {
    using client = KeyManagerClient.overSocket("/nonexistent/socket");
    await assert.rejects(client.whoami(), { code: "UNREACHABLE", exitCode: 4 });
  });

  it("loads no schema library at run time", () => {
    for (const file of ["client", "exchange", "transport", "operations", "errors"])
      assert.doesNotMatch(
        readFileSync(new URL(`../../../src/client/${file}.ts`, import.meta.url), "utf8"),
        /^import (?!type).*from "(zod|\.\/protocol\.ts)"/m,
      );
  });
});
