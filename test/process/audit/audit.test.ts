import assert from "node:assert/strict";
import { createHash, createHmac, randomBytes } from "node:crypto";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer, type ServerResponse } from "node:http";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { SecretBuffer } from "../../../src/crypto/secret-buffer.ts";
import { reservePort } from "../../reserved-ports.ts";
import {
  KeyManagerFolder,
  type RunningServer,
  runStrongroom,
  startServer,
  TemporaryFolder,
} from "../running-server.ts";

/** A receiver that can be told to misbehave, and remembers what it took. */
class Receiver {
  readonly secret = randomBytes(24).toString("base64");
  readonly taken: string[] = [];
  answer: "take" | "fail" | "hang" | "die" = "take";
  attempts = 0;
  #server = createServer();
  port = 0;

  /** At the same port each time. */
  async listen(): Promise<void> {
    this.#server = createServer((request, response) => {
      const pieces: Buffer[] = [];
      request.on("error", () => {});
      request.on("data", (piece: Buffer) => pieces.push(piece));
      request.on("end", () => this.#take(request.headers["strongroom-signature"], Buffer.concat(pieces), response));
    });
    if (this.port === 0) this.port = await reservePort();
    this.#server.listen(this.port, "127.0.0.1");
    await once(this.#server, "listening");
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #take(signature: string | string[] | undefined, body: Buffer, response: ServerResponse): void {
    this.attempts += 1;
    if (this.answer === "die") return void response.destroy();
    if (this.answer === "hang") return;
    if (this.answer === "fail") return void response.writeHead(500).end();
    const [, seconds, hex] = /^t=(\d+),v1=([0-9a-f]{64})$/.exec(String(signature)) ?? [];
    const expected = createHmac("sha256", this.secret).update(`${seconds}.`).update(body).digest("hex");
    if (hex !== expected) return void response.writeHead(401).end();
    this.taken.push(...body.toString().trimEnd().split("\n"));
    response.writeHead(204).end();
  }

  get sequences(): number[] {
    return this.taken.map((line) => JSON.parse(line).sequence);
  }
}

async function until(done: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await done())) await new Promise((resolve) => setTimeout(resolve, 20));
}

describe("audit records outside the key manager", () => {
  let manager: KeyManagerFolder;
  let temporary: TemporaryFolder;
  let server: RunningServer;
  const receiver = new Receiver();
  const syslog = createSocket("udp4");
  const datagrams: string[] = [];
  let args: string[];

  before(async () => {
    manager = await KeyManagerFolder.make();
    temporary = new TemporaryFolder();
    await receiver.listen();
    syslog.on("message", (message) => datagrams.push(message.toString()));
    syslog.bind(0, "127.0.0.1");
    await once(syslog, "listening");
    const secretFile = temporary.file("webhook.secret", receiver.secret);
    args = [
      "--audit-webhook",
      `http://127.0.0.1:${receiver.port}/hidden-path`,
      "--audit-webhook-secret-file",
      secretFile,
    ];
    args.push("--audit-syslog", `udp:127.0.0.1:${syslog.address().port}`, "--metrics", "127.0.0.1:0");
    server = await startServer(manager, args);
  });
  after(async () => {
    await server[Symbol.asyncDispose]();
    await receiver.close();
    syslog.close();
    temporary[Symbol.dispose]();
    manager[Symbol.dispose]();
  });

  const metrics = async () => await (await fetch(`http://${server.addresses.metrics}/metrics`)).text();
  const allForwarded = async () => {
    const { sequence } = await server.admin.audit.checkpoint();
    await until(() => receiver.sequences.includes(sequence));
    return sequence;
  };
  const on = (...words: string[]) => runStrongroom(["audit", ...words, ...manager.options]);

  it("reach a webhook as the lines of the chain, and a syslog server as messages of RFC 5424", async () => {
    await server.admin.keys.create({ alias: "alias/k" });
    const sequence = await allForwarded();
    const [first = 0] = receiver.sequences;
    assert.deepEqual(
      receiver.sequences,
      Array.from({ length: sequence - first + 1 }, (_, index) => first + index),
    );
    const stored = await server.admin.audit.export({ after: first - 1, limit: 1000 });
    const count = Math.min(stored.length, receiver.taken.length);
    assert.ok(count > 5);
    assert.deepEqual(
      receiver.taken.slice(0, count),
      stored.slice(0, count).map(({ text }) => text),
    );
    await until(() => datagrams.some((message) => message.endsWith(receiver.taken.at(-1) ?? "")));
    for (const message of datagrams)
      assert.match(message, /^<\d+>1 \S+Z \S+ strongroom \d+ \w+ \[meta sequenceId="\d+"\] \{"eventVersion":"1\.08",/);
  });

  for (const answer of ["fail", "hang", "die"] as const)
    it(`lose nothing and hold up no request while the webhook ${answer}s`, async () => {
      receiver.answer = answer;
      const attempts = receiver.attempts;
      for (let round = 0; round < 20; round++) await server.admin.keys.describe("alias/k");
      await until(() => receiver.attempts > attempts);
      if (answer !== "hang")
        await until(async () => /forward_failures_total\{[^}]*webhook[^}]*\} [1-9]/.test(await metrics()));
      receiver.answer = "take";
      const sequence = await allForwarded();
      const [first = 0] = receiver.sequences;
      assert.equal(new Set(receiver.sequences).size, sequence - first + 1);
    });

  it("lose nothing when the webhook is away and the key manager is killed meanwhile", async () => {
    await allForwarded();
    await receiver.close();
    for (let round = 0; round < 20; round++) await server.admin.keys.describe("alias/k");
    await until(async () => /forward_lag_records\{target="webhook[^}]*\} [1-9]/.test(await metrics()));
    await server.kill();
    await receiver.listen();
    server = await startServer(manager, args);
    const sequence = await allForwarded();
    const [first = 0] = receiver.sequences;
    assert.equal(new Set(receiver.sequences).size, sequence - first + 1);
    const gaps = await server.admin.audit.search({ action: "AuditForwarding", limit: 1000 });
    assert.deepEqual([...new Set(gaps.records.map(({ detail }) => detail.kind))], ["started"]);
    assert.equal((await server.admin.audit.verify()).ok, true);
  });

  it("hold neither the webhook's path nor its secret, nor any key or token", async () => {
    await server.admin.keys.create({ alias: "alias/p" });
    const planted = randomBytes(24).toString("hex");
    using plaintext = SecretBuffer.copyOf(Buffer.from(planted));
    const key = "alias/p";
    await assert.rejects(server.admin.wrap({ key, context: { node: "n1" }, plaintext }));
    const { token } = await server.admin.nodes.createToken({ name: "n1", key, identity: "file" });
    using text = token;
    const tokenText = text.expose((bytes) => Buffer.from(bytes).toString());
    await allForwarded();
    const secrets = [planted, Buffer.from(planted).toString("base64"), tokenText, receiver.secret, "hidden-path"];
    const places = [...receiver.taken, ...datagrams, server.output.stderr, server.output.stdout, await metrics()].join(
      "\n",
    );
    for (const secret of secrets) assert.equal(places.includes(secret), false);
  });

  it("are searched, reported on and exported from the command line", async () => {
    const enrolled = await server.enrol("n2", "alias/p");
    using client = server.clientOf(enrolled);
    const { wrapped } = await client.generateDataKey({ key: "alias/p", context: { node: "n2" } });
    (await client.unwrap({ wrapped, context: { node: "n2" } })).plaintext[Symbol.dispose]();
    const evil = "\u001b[31mn\n2\u009b";
    await assert.rejects(client.unwrap({ wrapped, context: { node: evil } }));

    const denied = await on("search", "--node", "n2", "--denied", "--json");
    const { records, next } = JSON.parse(denied.stdout);
    assert.deepEqual([records.length, records[0].context.node, next], [1, evil, null]);
    const shown = await on("search", "--node", "n2", "--key", "alias/p", "--action", "Decrypt");
    assert.equal(shown.stdout.trimEnd().split("\n").length, 2);
    for (const { stdout } of [denied, shown]) assert.doesNotMatch(stdout, /[^\P{C}\n]/u);

    const paged = await on("search", "--oldest-first", "--limit", "3", "--json");
    const page = JSON.parse(paged.stdout);
    assert.deepEqual([page.records.length, page.next], [3, 3]);
    const rest = JSON.parse((await on("search", "--oldest-first", "--limit", "2", "--cursor", "3", "--json")).stdout);
    assert.deepEqual(
      rest.records.map(({ sequence }: { sequence: number }) => sequence),
      [4, 5],
    );

    const report = JSON.parse((await on("report", "--node", "n2", "--json")).stdout);
    assert.deepEqual(
      [report.uses.map(({ action }: { action: string }) => action), report.refusals.length, report.since],
      [["kms:GenerateDataKeyWithoutPlaintext", "kms:Decrypt"], 1, null],
    );
    const second = JSON.parse((await on("report", "--node", "n2", "--json")).stdout);
    assert.deepEqual([second.uses, second.refusals, second.after], [[], [], report.until]);
    assert.match((await on("report", "--node", "n2", "--all")).stdout, /2 uses of keys, 1 refused requests/);
    const unknown = await on("report", "--node", "nobody");
    assert.deepEqual([unknown.code, unknown.stdout], [1, ""]);

    const lines = (await on("export")).stdout.trimEnd().split("\n");
    let link: Buffer = Buffer.alloc(32);
    for (const line of lines) link = createHash("sha256").update(link).update(line).digest();
    const [last] = await server.admin.audit.export({ after: lines.length - 1, limit: 1 });
    assert.equal(last?.hash, link.toString("hex"));
    const csv = (await on("export", "--format", "csv")).stdout.trimEnd().split("\n");
    assert.ok(csv.length > lines.length);
    for (const line of csv) assert.doesNotMatch(line, /^[=+@-]|,[=+@-]/);
  });

  for (const [name, more, message] of [
    ["a webhook without a secret", ["--audit-webhook", "https://example.com/"], /go together/],
    ["a syslog address of no shape", ["--audit-syslog", "log"], /a syslog server is/],
    ["one place twice", ["--audit-syslog", "127.0.0.1:9", "udp:127.0.0.1:9"], /named twice/],
  ] as const)
    it(`are sent nowhere when serve is given ${name}`, async () => {
      const outcome = await runStrongroom(["serve", ...manager.options, ...more]);
      assert.equal(outcome.code, 2);
      assert.match(outcome.stderr, message);
    });

  it("are not sent over plain HTTP to another machine", async () => {
    const secretFile = temporary.file("other.secret", receiver.secret);
    const more = ["--audit-webhook", "http://192.0.2.1/hidden", "--audit-webhook-secret-file", secretFile];
    const outcome = await runStrongroom(["serve", ...manager.options, ...more]);
    assert.equal(outcome.code, 2);
    assert.doesNotMatch(outcome.stderr, /hidden/);
  });

  it("leave neither the secret nor the path in the store", () => {
    const text = readFileSync(join(manager.dataDir, "store.sqlite")).toString("latin1");
    assert.equal(text.includes(receiver.secret) || text.includes("hidden-path"), false);
  });
});
