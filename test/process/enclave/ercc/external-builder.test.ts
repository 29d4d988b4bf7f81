import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";

const root = join(import.meta.dirname, "../../../..");
const connection = { address: "127.0.0.1:9999", dial_timeout: "5s", tls_required: false };
let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "external-builder-"));
  for (const name of ["source", "metadata", "output", "release"]) await mkdir(at(name));
  await writeJson("metadata/metadata.json", { type: "ccaas", label: "ercc_1.0" });
  await writeJson("source/connection.json", connection);
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const at = (name: string) => join(folder, name);
const writeJson = (name: string, value: unknown) => writeFile(at(name), JSON.stringify(value));
const readJson = async (name: string) => JSON.parse(await readFile(at(name), "utf8"));

/** As a peer calls it: with its folders, and an environment that has nothing but PATH. */
function step(name: "detect" | "build" | "release", ...folders: string[]) {
  const { status, stderr } = spawnSync(join(root, "bin/external-builder/bin", name), folders.map(at), {
    env: { PATH: "/usr/bin:/bin" },
    encoding: "utf8",
    timeout: 60_000,
  });
  return { status, stderr };
}
const build = () => step("build", "source", "metadata", "output");

describe("the external builder of Fabric's peers", () => {
  it("takes packages of type ccaas, and leaves others to other builders", async () => {
    assert.equal(step("detect", "source", "metadata").status, 0);
    await writeJson("metadata/metadata.json", { type: "golang" });
    assert.deepEqual(step("detect", "source", "metadata"), { status: 1, stderr: "" });
  });

  it("gives the peer the connection of the package, readable for the peer alone", async () => {
    assert.deepEqual(build(), { status: 0, stderr: "" });
    assert.deepEqual(step("release", "output", "release"), { status: 0, stderr: "" });
    const released = "release/chaincode/server/connection.json";
    assert.deepEqual(await readJson(released), { ...connection, client_auth_required: false });
    assert.equal((await stat(at(released))).mode & 0o777, 0o600);
  });

  it("refuses a package whose connection is wrong, says what is, and gives nothing", async () => {
    await writeJson("source/connection.json", { ...connection, address: "10.0.0.1:9999" });
    const { status, stderr } = build();
    assert.equal(status, 2);
    assert.match(stderr, /^external-builder build: MALFORMED: .*connection\.json: tls_required/);
    await assert.rejects(stat(at("output/connection.json")));
  });

  it("refuses to be called otherwise than a peer calls it", () => {
    assert.match(step("detect", "source").stderr, /SETTINGS_INVALID/);
    assert.match(step("build", "source", "metadata").stderr, /SETTINGS_INVALID/);
  });
});

describe("the launcher of ERCC as a service", () => {
  const launch = (...args: string[]) =>
    spawnSync(join(root, "bin/ercc-service"), args, { encoding: "utf8", timeout: 60_000 });

  it("refuses to be reached from other machines without TLS and client certificates", () => {
    for (const address of ["0.0.0.0:9999", "localhost.example.org:9999"])
      for (const args of [["--chaincode-address", address], [`--chaincode-address=${address}`]]) {
        const { status, stderr } = launch(...args, "--chaincode-id", "ercc:0123");
        assert.equal(status, 2);
        assert.match(stderr, /TLS with client certificates/);
      }
  });

  it("refuses to be started without an address, or for other code", () => {
    assert.match(launch("--chaincode-id", "ercc:0123").stderr, /--chaincode-address is missing/);
    assert.match(launch("--chaincode-address", "127.0.0.1:1", "--module-path", "/tmp").stderr, /module path/);
  });

  it("says where it looked for a Node that is not there", () => {
    const env = { ...process.env, STRONGROOM_NODE: at("node") };
    const { status, stderr } = spawnSync(join(root, "bin/ercc-service"), [], { env, encoding: "utf8" });
    assert.equal(status, 2);
    assert.match(stderr, /no Node 26 at/);
  });
});
