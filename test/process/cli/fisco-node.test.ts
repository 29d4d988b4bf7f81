import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import {
  runNodeStandIn,
  runProgram,
  secretFile,
  startKeyManager,
  temporaryFolder,
} from "../../fisco-stand-in/processes.ts";
import { recorded } from "../../fisco-stand-in/recorded.ts";
import { reservePort } from "../../reserved-ports.ts";

const formats = [
  ["v2-raw", "2"],
  ["v2-snappy", "2"],
  ["v3", "3"],
  ["v3.3", "3"],
] as const;

function pem(mode: string): string {
  const text = recorded.nodeKeyFiles.find((one) => one.mode === mode)?.plainPem;
  assert.ok(text !== undefined);
  return text;
}

function digestOf(folder: string): string {
  const digest = createHash("sha256");
  for (const name of readdirSync(folder, { recursive: true, encoding: "utf8" }).sort())
    if (statSync(join(folder, name)).isFile()) digest.update(name).update(readFileSync(join(folder, name)));
  return digest.digest("hex");
}

for (const mode of ["standard", "sm"] as const)
  describe(`a FISCO BCOS node (stand-in) with our key manager, ${mode}`, () => {
    for (const [format, version] of formats)
      it(`is set up by the scripts, starts, restarts, is refused, and is read: ${format}`, async () => {
        const folder = temporaryFolder();
        const node = join(folder, "node0");
        mkdirSync(join(node, "conf"), { recursive: true });
        const kmArgs = [...(mode === "sm" ? ["-g"] : []), "123xyz", "--data", join(folder, "km")];
        const km = await startKeyManager(kmArgs);
        const port = String(km.port);
        const made = await runProgram("gen_data_secure_key.sh", ["127.0.0.1", port, "node data key", `--v${version}`]);
        const cipherDataKey = /generated: ([0-9a-f]+)/.exec(made.stdout)?.[1] ?? "";
        const ini = made.stdout.slice(made.stdout.indexOf("["));
        const extra = `\n[chain]\nsm_crypto=${mode === "sm"}\n[storage]\nformat=${format}\n[security]\nprivate_key_path=conf/node.key\n`;
        writeFileSync(join(node, "config.ini"), ini + extra);
        writeFileSync(join(node, "conf/node.key"), pem(mode));
        const key = join(node, "conf/node.key");
        const backups = ["--backup-dir", join(folder, "backups")];
        const encrypted = await runProgram("encrypt_node_key.sh", ["127.0.0.1", port, key, cipherDataKey, ...backups]);
        assert.equal(encrypted.code, 0, encrypted.stderr);

        const first = await runNodeStandIn(join(node, "config.ini"));
        assert.equal(first.code, 0, first.stderr);
        const second = await runNodeStandIn(join(node, "config.ini"));
        const [started, restarted] = [first, second].map(
          ({ stdout }) => JSON.parse(stdout) as { nodeId: string; height: number },
        );
        assert.equal(started?.height, 0);
        assert.equal(restarted?.height, 1);
        assert.equal(restarted?.nodeId, started?.nodeId);

        await km.stop();
        const before = digestOf(node);
        const alone = await runNodeStandIn(join(node, "config.ini"));
        assert.equal(alone.code, 1);
        assert.match(alone.stderr, /ECONNREFUSED/);
        const stranger = await startKeyManager(
          kmArgs.map((arg) => (arg === "123xyz" ? "another super key" : arg)),
          { port: km.port },
        );
        const refused = await runNodeStandIn(join(node, "config.ini"));
        await stranger.stop();
        assert.equal(refused.code, 1);
        assert.match(refused.stderr, mode === "sm" ? /vector::_M_default_append/ : /invalid PKCS #7 block padding/);
        assert.equal(digestOf(node), before);

        const dataKeyFile = secretFile(folder, "data.key", "node data key\n");
        const read = ["legacy", "read-db", "--format", format, "--mode", mode, "--data-key-file"];
        const rows = await runProgram("strongroom", [...read, dataKeyFile, join(node, "data")]);
        assert.equal(rows.code, 0, rows.stderr);
        assert.match(rows.stdout, /^s_number_2_header:000000\tblock 0 block 0/m);
        assert.match(rows.stdout, /^s_number_2_header:000001\tblock 1 block 1/m);
        const wrong = secretFile(folder, "wrong.key", "not the data key");
        const failed = await runProgram("strongroom", [...read, wrong, "--verify", "--json", join(node, "data")]);
        assert.equal(failed.code, 5);
        assert.match(failed.stderr, /do(?:es)? not decrypt|none of the/);
        assert.equal(digestOf(node), before);
        assert.deepEqual(readdirSync(node).sort(), ["conf", "config.ini", "data"]);
      });
  });

describe("strongroom legacy read-db", () => {
  const folder = temporaryFolder();
  const dataKeyFile = secretFile(folder, "data.key", "123456");
  const read = (format: string, mode: string, path: string, input = "", ...more: readonly string[]) =>
    runProgram(
      "strongroom",
      ["legacy", "read-db", "--format", format, "--mode", mode, "--data-key-file", dataKeyFile, ...more, path],
      input,
    );

  it("reads recorded values from RocksDB's own dump, both of its forms", async () => {
    for (const mode of ["standard", "sm"] as const)
      for (const format of ["v2-raw", "v3"] as const) {
        const values = recorded.databaseValues.filter((one) => one.mode === mode && one.format === format);
        assert.ok(values.length > 0);
        for (const between of [" : ", " ==> "]) {
          const dump = values.map(({ id, storedHex }) => {
            const key = Buffer.from(`t:${id}`).toString("hex").toUpperCase();
            return `0x${key}${between}0x${storedHex.toUpperCase()}`;
          });
          const outcome = await read(
            format,
            mode,
            "-",
            `${dump.join("\n")}\nKeys in range: ${dump.length}\n`,
            "--json",
          );
          assert.equal(outcome.code, 0, outcome.stderr);
          assert.deepEqual(
            JSON.parse(outcome.stdout).map((row: { key: string; valueHex: string }) => [row.key, row.valueHex]),
            values.map(({ id, valueHex }) => [`t:${id}`, valueHex]),
          );
        }
      }
  });

  const ldb = spawnSync("ldb", ["--version"]);
  const noLdb = ldb.error !== undefined && "RocksDB's ldb (Debian: rocksdb-tools) is not installed";
  it("reads a RocksDB database through RocksDB's own ldb", { skip: noLdb }, async () => {
    const database = join(folder, "ldb-database");
    const [value] = recorded.databaseValues.filter((one) => one.format === "v3" && one.mode === "standard");
    assert.ok(value !== undefined);
    const put = ["--create_if_missing", "--hex", "put", "0x743A6B", `0x${value.storedHex}`];
    assert.equal(spawnSync("ldb", [`--db=${database}`, ...put]).status, 0);
    const refused = await read("v3", "standard", database);
    assert.match(refused.stderr, /RocksDB database/);
    const { stdout } = spawnSync("ldb", [`--db=${database}`, "scan", "--hex"], { encoding: "utf8" });
    rmSync(database, { recursive: true });
    const outcome = await read("v3", "standard", "-", stdout, "--json");
    assert.deepEqual(JSON.parse(outcome.stdout)[0].valueHex, value.valueHex);
  });

  it("refuses a RocksDB folder with the way to read it, and what is no database", async () => {
    const rocks = join(folder, "rocks");
    mkdirSync(rocks);
    for (const name of ["CURRENT", "IDENTITY", "OPTIONS-000007", "000008.sst"]) writeFileSync(join(rocks, name), "x");
    const refused = await read("v3", "standard", rocks);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /RocksDB database.*ldb --db=.* scan --hex/s);
    const empty = join(folder, "empty");
    mkdirSync(empty);
    assert.equal((await read("v3", "standard", empty)).code, 2);
    assert.equal((await read("v3", "standard", join(folder, "missing"))).code, 2);
    assert.equal((await read("v3", "standard", "-", "nothing here\n")).code, 1);
    assert.equal((await read("v3", "standard", "-", "0xABC : 0x00\n")).code, 1);
    assert.equal((await read("v4", "standard", "-")).code, 2);
    writeFileSync(join(empty, "CURRENT"), "MANIFEST-000001\n");
    const damaged = await read("v3", "standard", empty);
    assert.equal(damaged.code, 5);
    assert.deepEqual(readdirSync(folder).sort(), ["data.key", "empty", "rocks"]);
  });
});

describe("strongroom serve --fisco and the operator's commands", () => {
  it("opens a node's key once an operator has registered it, and takes no operator's call on the wire", async () => {
    const folder = temporaryFolder();
    const unlock = secretFile(folder, "unlock", "a long enough unlock passphrase");
    const superKey = secretFile(folder, "super.key", "123xyz");
    const dataKey = secretFile(folder, "data.key", "123456");
    const data = join(folder, "km");
    const where = ["--data", data, "--unlock-file", unlock];
    assert.equal((await runProgram("strongroom", ["init", ...where])).code, 0);
    const { started } = await import("../../fisco-stand-in/processes.ts");
    const { fiscoCall } = await import("../../fisco-stand-in/raw-exchange.ts");
    const port = await reservePort();
    const serve = ["serve", ...where, "--native", `127.0.0.1:${await reservePort()}`];
    const fisco = ["--fisco", `127.0.0.1:${port}`, "--fisco-super-key-file", superKey];
    const server = await started("strongroom", [...serve, ...fisco], port, /fisco: http/);
    try {
      const golden = "ed157f4588b86d61a2e1745efe71e6ea";
      assert.equal((await fiscoCall(port, "decDataKey", golden)).error, 1);
      for (const [method, ...params] of [
        ["encDataKey", "123456"] as const,
        ["encWithCipherKey", "QQ==", golden] as const,
      ])
        assert.match((await fiscoCall(port, method, ...params)).info, /is for operators/);
      const operator = (command: string, ...args: readonly string[]) =>
        runProgram("strongroom", ["legacy", command, ...args, "--super-key-file", superKey, "--data", data]);
      const registered = await operator("register", golden, "--node", "node0");
      assert.equal(registered.code, 0, registered.stderr);
      assert.equal((await fiscoCall(port, "decDataKey", golden)).dataKey, "313233343536");
      assert.equal((await operator("register", "00".repeat(16))).code, 3);
      const made = await operator("encrypt-data-key", "--data-key-file", secretFile(folder, "other.key", "12345"));
      assert.equal(made.stdout, "ece243d9f346ea7b6b6970f934887b2b\n");
      assert.equal((await fiscoCall(port, "decDataKey", "ece243d9f346ea7b6b6970f934887b2b")).dataKey, "3132333435");

      const plain = join(folder, "node.key");
      writeFileSync(plain, pem("standard"));
      const encrypted = join(folder, "node.key.encrypted");
      const made2 = await operator("encrypt-key-file", plain, "--cipher-data-key", golden, "--out", encrypted);
      assert.equal(made2.code, 0, made2.stderr);
      assert.equal(readFileSync(encrypted, "latin1"), recorded.nodeKeyFiles[0]?.encryptedFileText);
      const back = ["legacy", "decrypt-key-file", encrypted, "--data-key-file", dataKey, "--out", join(folder, "back")];
      assert.equal((await runProgram("strongroom", back)).code, 0);
      assert.equal(readFileSync(join(folder, "back"), "latin1"), pem("standard"));
      assert.equal((await runProgram("strongroom", back)).code, 1, "an existing file is not overwritten");

      const listed = await runProgram("strongroom", ["legacy", "list", "--json", "--data", data]);
      assert.deepEqual(
        JSON.parse(listed.stdout).map((entry: { node: string | null; origin: string }) => [entry.node, entry.origin]),
        [
          ["node0", "registered"],
          [null, "registered"],
        ],
      );
    } finally {
      assert.equal(await server.stop(), 0);
    }
  });
});
