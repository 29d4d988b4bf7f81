import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { buildChain } from "../../../../src/chain/build/build.ts";
import { readChainNodeConfig } from "../../../../src/chain/build/config-reader.ts";
import { readHsmPin } from "../../../../src/chain/build/hsm-settings.ts";
import { readPrivateKey } from "../../../../src/crypto/pem.ts";
import { ChainFolder, fourNodes } from "./chain-folder.ts";

const hsm = { pinInConfig: false } as const;

function filesUnder(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((name) =>
    statSync(join(folder, name)).isFile(),
  );
}

function withKeys(folder: ChainFolder): string[] {
  return ["node0", "node1", "node2", "node10"].map((name) => folder.writeKey(`keys/${name}.pem`));
}

describe("a built chain", () => {
  it("has a folder for each node that its reader reads", () => {
    using folder = new ChainFolder();
    const { nodes } = buildChain(fourNodes(folder));
    const configs = nodes.map((node) => readChainNodeConfig(join(node.folder, "config.ini")));
    configs.forEach((config, index) => {
      assert.deepEqual([config.p2p.listenPort, config.rpc.listenPort], [30300 + index, 20200 + index]);
      assert.deepEqual([config.p2p.listenIp, config.rpc.listenIp], ["127.0.0.1", "127.0.0.1"]);
      assert.equal(config.genesis.smCrypto, true);
      assert.deepEqual(
        config.genesis.sealers.map(({ nodeId }) => nodeId),
        nodes.map(({ nodeId }) => nodeId),
      );
      assert.equal(config.p2p.nodes.length, 4);
      assert.deepEqual(config.genesis.fileSha256, configs[0]?.genesis.fileSha256);
      assert.ok(config.signing.kind === "file");
      using scalar = readPrivateKey(readFileSync(config.signing.privateKeyPath)).scalar;
      assert.equal(scalar.byteLength, 32);
      for (const file of Object.values(config.tls)) assert.ok(existsSync(file), file);
      // Its first start takes it away; without it and without a guard there is no start.
      assert.ok(existsSync(join(config.folder, "conf/first-start")));
    });
  });

  it("keeps private keys 0600 in folders 0700, and the authority's keys in ca/ alone", () => {
    using folder = new ChainFolder();
    const { output } = buildChain(fourNodes(folder));
    const names = filesUnder(output);
    for (const name of names) {
      const isPrivate = readFileSync(join(output, name)).includes("PRIVATE KEY");
      if (!isPrivate) continue;
      assert.equal(statSync(join(output, name)).mode & 0o777, 0o600, name);
      assert.equal(statSync(join(output, name, "..")).mode & 0o777, 0o700, name);
    }
    assert.deepEqual(names.filter((name) => name.endsWith("ca.key")).sort(), ["ca/ca.key", "ca/sm_ca.key"]);
    assert.deepEqual(readdirSync(join(output, "127.0.0.1/ca")).sort(), ["ca.crt", "sm_ca.crt"]);
    assert.equal(statSync(join(output, "127.0.0.1/node0/config.ini")).mode & 0o777, 0o600);
  });

  it("is never put together in a folder that somebody else has made", () => {
    using folder = new ChainFolder();
    const planted = `${folder.at("nodes")}.unfinished-${process.pid}`;
    mkdirSync(join(planted, "ca"), { recursive: true });
    const { output } = buildChain(fourNodes(folder));
    assert.deepEqual(filesUnder(planted), []);
    assert.ok(existsSync(join(output, "ca/ca.key")));
    assert.equal(statSync(output).mode & 0o777, 0o755);
    assert.deepEqual(
      readdirSync(folder.path).filter((name) => name.startsWith("nodes")),
      ["nodes", `nodes.unfinished-${process.pid}`],
    );
  });

  it("has scripts that stay in their own folder, whatever CDPATH says", () => {
    using folder = new ChainFolder();
    const here = buildChain(fourNodes(folder)).output;
    const other = buildChain(fourNodes(folder, { output: folder.at("other chain") })).output;
    const { stdout, stderr } = spawnSync("bash", ["node0/stop.sh"], {
      cwd: join(here, "127.0.0.1"),
      env: { ...process.env, CDPATH: join(other, "127.0.0.1") },
      encoding: "utf8",
    });
    assert.deepEqual([stdout, stderr], [" node0 isn't running.\n", ""]);
  });

  it("has certificates that OpenSSL verifies: P-256, and SM2 with SM3", () => {
    using folder = new ChainFolder();
    const { output } = buildChain(fourNodes(folder, { hosts: [{ host: "127.0.0.1", nodes: 1 }] }));
    const conf = join(output, "127.0.0.1/node0/conf");
    const verified = (authority: string, options: readonly string[], ...files: readonly string[]) => {
      const args = ["verify", ...options, "-CAfile", join(output, "ca", authority)];
      return execFileSync("openssl", [...args, ...files.map((file) => join(conf, file))], { encoding: "utf8" });
    };
    assert.match(verified("ca.crt", [], "ssl.crt"), /ssl\.crt: OK/);
    const signerId = ["-vfyopt", "distid:1234567812345678"];
    assert.match(verified("sm_ca.crt", signerId, "sm_ssl.crt", "sm_enssl.crt"), /sm_ssl\.crt: OK\n.*sm_enssl\.crt: OK/);
    const authority = new X509Certificate(readFileSync(join(output, "ca/ca.crt")));
    const node = new X509Certificate(readFileSync(join(conf, "ssl.crt")));
    assert.ok(authority.ca && !node.ca && node.checkIssued(authority) && node.verify(authority.publicKey));
    assert.equal(node.checkIP("127.0.0.1"), "127.0.0.1");
  });

  it("takes keys of a folder in the order of their names' numbers", () => {
    using folder = new ChainFolder();
    const ids = withKeys(folder);
    const { nodes } = buildChain(fourNodes(folder, { nodeKeys: folder.at("keys") }));
    assert.deepEqual(
      nodes.map(({ nodeId }) => nodeId),
      ids,
    );
  });

  it("has, with a cipher machine, only public node keys, each node's index, and the PIN in a file of its own", () => {
    using folder = new ChainFolder();
    withKeys(folder);
    const pinFile = folder.write("pin", "12345678\n");
    const { output, nodes } = buildChain(
      fourNodes(folder, { nodeKeys: folder.at("keys"), hsm: { ...hsm, keyIndices: [43, 44, 45, 46], pinFile } }),
    );
    for (const node of nodes) {
      assert.match(readFileSync(join(node.folder, "conf/node.pem"), "utf8"), /^-----BEGIN PUBLIC KEY-----/);
      const { signing } = readChainNodeConfig(join(node.folder, "config.ini"));
      assert.ok(signing.kind === "hsm" && signing.hsm.pin !== undefined);
      assert.equal(signing.hsm.keyIndex, 43 + node.index);
      assert.deepEqual(signing.hsm.libraries, ["/usr/local/lib/libgmt0018.so", "libgmt0018.so"]);
      using pin = readHsmPin(signing.hsm.pin);
      assert.ok(pin.equals(Buffer.from("12345678")));
      assert.equal(node.keySourceIsPrivate, true);
    }
    const withPin = filesUnder(output).filter((name) => readFileSync(join(output, name)).includes("12345678"));
    assert.deepEqual(
      withPin.filter((name) => !/node\d\/conf\/hsm_password$/.test(name)),
      [],
    );
  });

  it("has the PIN in config.ini only when that is asked for", () => {
    using folder = new ChainFolder();
    withKeys(folder);
    const pinFile = folder.write("pin", "12345678");
    const options = { pinFile, pinInConfig: true, keyIndices: [1, 2, 3, 4], library: "/opt/card.so" };
    const { nodes } = buildChain(fourNodes(folder, { nodeKeys: folder.at("keys"), hsm: options }));
    const file = join(nodes[0]?.folder ?? "", "config.ini");
    assert.match(readFileSync(file, "utf8"), /^ {4}password=12345678$/m);
    const { signing } = readChainNodeConfig(file);
    assert.ok(signing.kind === "hsm" && signing.hsm.pin?.kind === "config");
    assert.deepEqual(signing.hsm.libraries, ["/opt/card.so"]);
    using pin = readHsmPin(signing.hsm.pin);
    assert.ok(pin.equals(Buffer.from("12345678")));
    assert.equal(existsSync(join(nodes[0]?.folder ?? "", "conf/hsm_password")), false);
  });

  it("for FISCO BCOS's own program has SM TLS and no P-256 certificates", () => {
    using folder = new ChainFolder();
    const binary = folder.write("program", "#!/bin/sh\n", 0o700);
    const { output } = buildChain(fourNodes(folder, { binary }));
    const node = join(output, "127.0.0.1/node0");
    assert.deepEqual(readdirSync(join(node, "conf")).sort(), [
      ...["node.nodeid", "node.pem", "sm_ca.crt", "sm_enssl.crt", "sm_enssl.key", "sm_ssl.crt", "sm_ssl.key"],
      "sm_ssl.nodeid",
    ]);
    assert.match(readFileSync(join(node, "config.ini"), "utf8"), /sm_ssl=true\n[\s\S]*sm_node_cert=sm_ssl\.crt/);
    assert.equal(readFileSync(join(output, "127.0.0.1/fisco-bcos"), "utf8"), "#!/bin/sh\n");
    assert.throws(() => readChainNodeConfig(join(node, "config.ini")), { code: "CONFIG_INVALID", message: /sm_ssl/ });
  });

  it("without SM has secp256k1 node keys", () => {
    using folder = new ChainFolder();
    const { nodes } = buildChain(fourNodes(folder, { sm: false }));
    const config = readChainNodeConfig(join(nodes[3]?.folder ?? "", "config.ini"));
    assert.equal(config.genesis.smCrypto, false);
  });
});

describe("building a chain", () => {
  const refuses = (folder: ChainFolder, more: Parameters<typeof fourNodes>[1], error: object) => {
    assert.throws(() => buildChain(fourNodes(folder, more)), { name: "ChainBuildError", ...error });
    assert.deepEqual(
      readdirSync(folder.path).filter((name) => name.startsWith("nodes")),
      [],
    );
  };

  it("is refused when the folder of keys holds another number of keys than there are nodes", () => {
    using folder = new ChainFolder();
    withKeys(folder);
    rmSync(folder.at("keys/node10.pem"));
    const nodeKeys = folder.at("keys");
    refuses(
      folder,
      { nodeKeys },
      { code: "NODE_KEYS_INVALID", message: /holds 3 \.pem files, and the chain has 4 nodes/ },
    );
    folder.writeKey("keys/a.pem");
    folder.writeKey("keys/b.pem");
    refuses(folder, { nodeKeys }, { code: "NODE_KEYS_INVALID", message: /holds 5/ });
    refuses(folder, { nodeKeys: folder.at("none") }, { code: "NODE_KEYS_INVALID" });
  });

  it("is refused with a key twice, on another curve, cut, or not a key", () => {
    using folder = new ChainFolder();
    withKeys(folder);
    const nodeKeys = folder.at("keys");
    const refused = (content: Buffer | string, message: RegExp) => {
      writeFileSync(folder.at("keys/node2.pem"), content);
      refuses(folder, { nodeKeys }, { code: "NODE_KEYS_INVALID", message });
      refuses(folder, { nodeKeys, hsm }, { code: "NODE_KEYS_INVALID", message });
    };
    const first = readFileSync(folder.at("keys/node1.pem"));
    refused(first, /are the same key/);
    refused(first.subarray(0, 100), /node2\.pem/);
    refused("", /node2\.pem/);
    refused("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", /not one PEM public key on sm2/);
    folder.writeKey("keys/node2.pem", "secp256k1");
    refuses(folder, { nodeKeys }, { code: "NODE_KEYS_INVALID", message: /is a key on secp256k1/ });
  });

  it("is refused with a public key where the private one is needed", () => {
    using folder = new ChainFolder();
    withKeys(folder);
    const key = folder.at("keys/node0.pem");
    const publicKey = execFileSync("openssl", ["pkey", "-in", key, "-pubout"]);
    writeFileSync(key, publicKey);
    refuses(folder, { nodeKeys: folder.at("keys") }, { code: "NODE_KEYS_INVALID", message: /public key only/ });
    const { nodes } = buildChain(fourNodes(folder, { nodeKeys: folder.at("keys"), hsm }));
    assert.deepEqual(readFileSync(join(nodes[0]?.folder ?? "", "conf/node.pem")), publicKey);
  });

  it("is refused where something is already", () => {
    using folder = new ChainFolder();
    folder.write("nodes/kept", "kept");
    assert.throws(() => buildChain(fourNodes(folder)), { code: "TARGET_EXISTS" });
    assert.deepEqual(readdirSync(folder.at("nodes")), ["kept"]);
  });

  it("is refused with a program that is none, and a PIN file that others can read or that holds no PIN", () => {
    using folder = new ChainFolder();
    withKeys(folder);
    const nodeKeys = folder.at("keys");
    refuses(folder, { binary: folder.at("none") }, { code: "FILE_UNUSABLE" });
    refuses(folder, { binary: folder.write("text", "x") }, { code: "FILE_UNUSABLE" });
    const open = folder.write("open", "12345678", 0o644);
    refuses(folder, { nodeKeys, hsm: { ...hsm, pinFile: open } }, { code: "FILE_UNSAFE" });
    for (const text of ["", "\n", "12\n34", "1\u00002", "x".repeat(257)]) {
      const pinFile = folder.write(`pin-${text.length}-${text.charCodeAt(1)}`, text);
      refuses(
        folder,
        { nodeKeys, hsm: { ...hsm, pinFile } },
        { code: "CONFIG_INVALID", message: /a PIN is 1 to 256 bytes/ },
      );
    }
    const blank = { pinFile: folder.write("blank", " 1234"), pinInConfig: true };
    refuses(folder, { nodeKeys, hsm: blank }, { code: "CONFIG_INVALID", message: /begins or ends with a blank/ });
    refuses(folder, { nodeKeys, hsm: { ...hsm, pinFile: folder.at("none") } }, { code: "FILE_UNUSABLE" });
  });
});
