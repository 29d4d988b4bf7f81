import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { appendFileSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { request } from "node:https";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, before, describe, it } from "node:test";
import { type Enrolment, enroll } from "../../../src/client/enroll.ts";
import { decodeEnrolmentToken } from "../../../src/client/enrolment-token.ts";
import { legacyEncryptDataKey } from "../../../src/crypto/legacy-fisco.ts";
import { SecretBuffer } from "../../../src/crypto/secret-buffer.ts";
import { fiscoCall } from "../../fisco-stand-in/raw-exchange.ts";
import { type Outcome, type RunningServer, runStrongroom, startServer, TemporaryFolder } from "../running-server.ts";
import { formsOf, type PlantedSecret, SecretSearch } from "./planted-secrets.ts";

/** Letters and digits that no one else writes. */
const planted = (name: string) => Buffer.from(`${name}-${randomBytes(18).toString("base64url")}`);

describe("a whole session with planted secrets", () => {
  /** Searched: the key manager's data, what the commands keep by default, temporary files. */
  let searched: TemporaryFolder;
  /** Not searched: the files in which an operator keeps the secrets. */
  let kept: TemporaryFolder;
  let server: RunningServer;
  let dataDir: string;
  let env: Readonly<Record<string, string>>;
  const secrets: PlantedSecret[] = [];
  const printed: [command: string, outcome: Outcome][] = [];
  const answered: [what: string, text: string][] = [];

  /** Notes a secret to look for, and hands out its bytes. */
  function plant(name: string, bytes: Uint8Array = planted(name)): Buffer {
    secrets.push({ name, bytes: Buffer.from(bytes) });
    return Buffer.from(bytes);
  }

  async function run(...args: readonly string[]): Promise<Outcome> {
    const outcome = await runStrongroom(args, { env });
    printed.push([args.slice(0, 3).join(" "), outcome]);
    return outcome;
  }

  before(async () => {
    searched = new TemporaryFolder();
    kept = new TemporaryFolder();
    dataDir = join(searched.path, "km");
    for (const name of ["home", "tmp"]) mkdirSync(join(searched.path, name));
    env = { HOME: join(searched.path, "home"), TMPDIR: join(searched.path, "tmp") };

    const unlockFile = kept.file("unlock", plant("unlock passphrase"));
    const superKey = plant("superKey");
    const superKeyFile = kept.file("super.key", superKey);
    assert.equal((await run("init", "--data", dataDir, "--unlock-file", unlockFile)).code, 0);
    const doors = ["--metrics", "127.0.0.1:0", "--fisco", "127.0.0.1:0", "--fisco-super-key-file", superKeyFile];
    server = await startServer({ dataDir, unlockFile }, doors, { env });

    const created = await run("key", "create", "--data", dataDir, "--alias", "alias/nodes", "--json");
    const key = JSON.parse(created.stdout).keyId as string;
    const enrolment = await enrolNode(key);
    await useKeys(enrolment, key);
    await useLegacyDoor(superKey, superKeyFile);
    await changeSlots(unlockFile);
    await sendNonsense(enrolment);
    for (const command of [
      ["audit", "export"],
      ["audit", "tail", "-n", "100"],
      ["key", "list"],
      ["legacy", "list"],
    ])
      assert.equal((await run(...command, "--data", dataDir)).code, 0);
    for (const path of ["metrics", "readyz"])
      answered.push([path, await fetch(`http://${server.addresses.metrics}/${path}`).then((answer) => answer.text())]);
  });

  after(async () => {
    await server?.kill();
    searched?.[Symbol.dispose]();
    kept?.[Symbol.dispose]();
  });

  async function enrolNode(key: string): Promise<Enrolment> {
    const { token } = await server.admin.nodes.createToken({ name: "node0", key, identity: "file" });
    using text = token;
    text.expose((bytes) => plant("enrolment token", bytes));
    using secret = decodeEnrolmentToken(text).secret;
    secret.expose((bytes) => plant("secret of the enrolment token", bytes));
    const enrolment = await enroll({ servers: [server.url], token: text });
    enrolment.privateKeyPem.expose((pem) => {
      const body = pem.toString("latin1").replace(/-----[A-Z ]+-----|\s/g, "");
      plant("private key of the node", Buffer.from(body, "base64").subarray(36, 68));
    });
    return enrolment;
  }

  async function useKeys(enrolment: Enrolment, key: string): Promise<void> {
    using node = server.clientOf(enrolment);
    const context = { node: "node0" };
    using plaintext = SecretBuffer.take(plant("wrapped plaintext"));
    const known = await node.wrap({ key, context, plaintext });
    using again = (await node.unwrap({ wrapped: known.wrapped, context })).plaintext;
    assert.ok(plaintext.equals(again));
    const { wrapped } = await node.generateDataKey({ key, context });
    using dataKey = (await node.unwrap({ wrapped, context })).plaintext;
    dataKey.expose((bytes) => plant("generated data key", bytes));
    await node.rewrap({ wrapped, context });
    await assert.rejects(() => node.unwrap({ wrapped, context: { node: "other" } }), { code: "REFUSED" });
  }

  async function useLegacyDoor(superKey: Buffer, superKeyFile: string): Promise<void> {
    using secret = SecretBuffer.take(superKey);
    using dataKey = SecretBuffer.take(plant("legacy dataKey"));
    const cipherDataKey = legacyEncryptDataKey("standard", secret, dataKey);
    const register = ["register", cipherDataKey, "--super-key-file", superKeyFile, "--data", dataDir];
    assert.equal((await run("legacy", ...register)).code, 0);
    const port = Number(server.addresses.fisco?.split(":").at(-1));
    const { dataKey: hex, error } = await fiscoCall(port, "decDataKey", cipherDataKey);
    assert.equal(error, 0);
    assert.ok(dataKey.equals(Buffer.from(hex, "hex")));
    const unregistered = await fiscoCall(port, "decDataKey", "00".repeat(32));
    answered.push(["refused decDataKey", JSON.stringify(unregistered)]);
  }

  async function changeSlots(unlockFile: string): Promise<void> {
    const newFile = kept.file("new", plant("new passphrase"));
    const place = ["--data", dataDir, "--unlock-file", unlockFile];
    assert.equal((await run("key", "slot", "add", ...place, "--new-file", newFile)).code, 0);
    assert.equal((await run("key", "slot", "remove", "2", ...place)).code, 0);
    const wrong = kept.file("wrong", plant("wrong passphrase"));
    assert.equal((await run("key", "slot", "list", "--data", dataDir)).code, 0);
    assert.equal((await run("key", "slot", "remove", "1", "--data", dataDir, "--unlock-file", wrong)).code, 5);
  }

  /** Requests that are wrong in ways that carry a secret where none belongs. */
  async function sendNonsense(enrolment: Enrolment): Promise<void> {
    const misplaced = plant("misplaced plaintext").toString();
    const bodies: readonly [path: string, type: string, body: string][] = [
      ["/v1/wrap", "application/json", JSON.stringify({ key: "alias/nodes", context: {}, plaintext: misplaced })],
      ["/v1/generate-data-key", "application/json", `{"key":"alias/nodes","context":{},"secret":"${misplaced}"}`],
      ["/v1/generate-data-key", "application/json", `{"key": ${misplaced}`],
      ["/v1/unwrap", "application/json", JSON.stringify({ wrapped: misplaced, context: {} })],
      ["/v1/enroll", "application/json", JSON.stringify({ name: "node0", csr: "AAAA", token: misplaced })],
      ["/v1/wrap", "text/plain", misplaced],
    ];
    for (const [path, type, body] of bodies) answered.push([path, await post(enrolment, path, type, body)]);
    assert.equal((await run("audit", "verify", "--data", dataDir, "--unlock-fd", misplaced)).code, 0);
    assert.equal((await run("init", "--data", `${dataDir}-not`, "--unlock-fd", misplaced)).code, 2);
  }

  function post({ caPem, certificatePem, privateKeyPem }: Enrolment, path: string, type: string, body: string) {
    const url = new URL(server.url);
    const options = {
      host: url.hostname,
      port: url.port,
      path,
      method: "POST",
      ca: caPem,
      cert: certificatePem,
      key: privateKeyPem.expose((pem) => Buffer.from(pem)),
      agent: false as const,
      headers: { "content-type": type, "content-length": Buffer.byteLength(body) },
    };
    return new Promise<string>((resolve, reject) => {
      const sent = request(options, (answer) => {
        let text = String(answer.statusCode);
        answer.on("data", (piece: Buffer) => {
          text += piece;
        });
        answer.on("end", () => resolve(text));
      });
      sent.on("error", reject);
      sent.end(body);
    });
  }

  /** Finds nothing, in something. */
  function assertNothing(search: SecretSearch): void {
    assert.deepEqual(search.sightings, []);
    assert.ok(search.bytesRead > 0, "nothing was read");
  }

  it("leaves none of them in any file, while it runs", () => {
    const search = new SecretSearch(secrets);
    search.folder(searched.path);
    assertNothing(search);
    const files = readdirSync(dataDir);
    for (const name of ["store.sqlite", "store.sqlite-wal", "root.slots"]) assert.ok(files.includes(name), name);
    assert.ok(statSync(join(dataDir, "store.sqlite-wal")).size > 10_000);
  });

  it("leaves none in what the server and the commands print, and in the server's refusals", () => {
    const search = new SecretSearch(secrets);
    search.text("standard output of serve", server.output.stdout);
    search.text("standard error of serve", server.output.stderr);
    for (const [command, { stdout, stderr }] of printed) search.text(command, stdout + stderr);
    for (const [what, text] of answered) search.text(what, text);
    assertNothing(search);
    assert.equal(answered.filter(([, text]) => text.startsWith("4")).length, 6, JSON.stringify(answered));
  });

  it("leaves none in the server's command line or environment", () => {
    const search = new SecretSearch(secrets);
    for (const name of ["cmdline", "environ"]) {
      // Whoever may not read it can't find anything in it either.
      const content = readable(`/proc/${server.pid}/${name}`);
      if (content !== undefined) search.bytes(name, content);
    }
    assert.deepEqual(search.sightings, []);
  });

  it("leaves no core file behind: the server's limit forbids one", () => {
    const limits = readFileSync(`/proc/${server.pid}/limits`, "utf8");
    const piped = readFileSync("/proc/sys/kernel/core_pattern", "latin1").startsWith("|");
    assert.match(limits, piped ? /^Max core file size +[01] +[01] /m : /^Max core file size +0 +0 /m);
  });

  it("leaves none in any file after a kill, and none after an orderly end", async () => {
    const unlockFile = join(kept.path, "unlock");
    await server.kill();
    const killed = new SecretSearch(secrets);
    killed.folder(searched.path);
    assertNothing(killed);
    server = await startServer({ dataDir, unlockFile }, [], { env });
    const { code, stderr } = await server.stop();
    assert.equal(code, 0, stderr);
    const ended = new SecretSearch(secrets);
    ended.folder(searched.path);
    assertNothing(ended);
  });

  describe("is searched so that a planted secret would be found", () => {
    it("in every form, in a file of the data folder", () => {
      for (const { name, bytes } of secrets)
        for (const [form, needle] of formsOf(bytes)) {
          const file = join(dataDir, "planted");
          writeFileSync(file, Buffer.concat([Buffer.from("before "), needle, Buffer.from(" after")]));
          const search = new SecretSearch(secrets.filter((each) => each.name === name));
          search.folder(dataDir);
          rmSync(file);
          assert.ok(
            search.sightings.some((sighting) => sighting.form === form && sighting.place === "planted"),
            `${name} as ${form}`,
          );
        }
    });

    it("in the store, in its log file, and at the end of the key slots", () => {
      const [secret] = secrets;
      assert.ok(secret !== undefined);
      const store = new DatabaseSync(join(dataDir, "store.sqlite"));
      store.exec("PRAGMA journal_mode = WAL; CREATE TABLE planted (value BLOB)");
      store.prepare("INSERT INTO planted VALUES (?)").run(secret.bytes);
      appendFileSync(join(dataDir, "root.slots"), Buffer.from(secret.bytes).toString("base64"));
      const search = new SecretSearch([secret]);
      search.folder(searched.path);
      store.close();
      const places = search.sightings.map(({ place }) => place);
      assert.ok(places.includes("km/store.sqlite-wal"), String(places));
      assert.ok(places.includes("km/root.slots"), String(places));
    });
  });
});

function readable(path: string): Buffer | undefined {
  try {
    return readFileSync(path);
  } catch {
    return undefined;
  }
}
