import assert from "node:assert/strict";
import { chmodSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { buildChain } from "../../../../src/chain/build/build.ts";
import { readChainNodeConfig } from "../../../../src/chain/build/config-reader.ts";
import { readHsmPin } from "../../../../src/chain/build/hsm-settings.ts";
import { ChainFolder, fourNodes } from "./chain-folder.ts";

/** One node's folder, to be changed. */
class NodeFiles implements Disposable {
  readonly #folder = new ChainFolder();
  readonly #node: string;

  constructor() {
    this.#node = buildChain(fourNodes(this.#folder)).nodes[0]?.folder ?? "";
  }

  at(name: string): string {
    return join(this.#node, name);
  }

  change(name: string, from: string | RegExp, to: string): void {
    const text = readFileSync(this.at(name), "utf8");
    const changed = text.replace(from, to);
    assert.notEqual(changed, text, `nothing to change in ${name}`);
    writeFileSync(this.at(name), changed);
  }

  read() {
    return readChainNodeConfig(this.at("config.ini"));
  }

  [Symbol.dispose](): void {
    this.#folder[Symbol.dispose]();
  }
}

function kms(): string {
  return `kms_type=AWS
kms_url=https://kms.example:8444
kms_ca_file=conf/kms_ca.crt
kms_region=eu-west-1
kms_key=alias/node0
kms_access_key_id=AKIAEXAMPLE123456789
kms_secret_file=conf/kms_secret
`;
}

describe("a node's configuration", () => {
  it("takes the tutorial's block as it stands, key_id and blanks included", () => {
    using files = new NodeFiles();
    files.change(
      "config.ini",
      /\[security\][\s\S]*?(?=\n\[storage_security\])/,
      `[security]
    ; true present that use hsm
    enable_hsm=true
    ; the path of lib file for HSM
    hsm_lib_path = /usr/local/lib/libgmt0018.so
    ; key index the key inside HSM
    key_id=43
    ; password to use HSM
    password = 12345678
`,
    );
    const { signing } = files.read();
    assert.ok(signing.kind === "hsm" && signing.hsm.pin !== undefined);
    assert.deepEqual(signing.hsm.libraries, ["/usr/local/lib/libgmt0018.so"]);
    assert.equal(signing.hsm.keyIndex, 43);
    using pin = readHsmPin(signing.hsm.pin);
    assert.ok(pin.equals(Buffer.from("12345678")));
    chmodSync(files.at("config.ini"), 0o644);
    assert.throws(() => readHsmPin(signing.hsm.pin ?? { kind: "config", file: "" }), { code: "FILE_UNSAFE" });
  });

  it("takes kms_type=HSM, a storage_security block with the manual's spelling, and its own section", () => {
    using files = new NodeFiles();
    files.change("config.ini", "enable_hsm=false", "kms_type=HSM\nkey_index=7\nhsm_profile=sansec");
    files.change("config.ini", "enable=false", "enable=true\nkey_manager_url=127.0.0.1:8150\ncipher_data_key=ed157f");
    files.change("config.ini", "[consensus]", "[strongroom]\nsome_setting=x\n[consensus]");
    const { signing, storageSecurity, strongroom, unused } = files.read();
    assert.ok(signing.kind === "hsm");
    assert.deepEqual([signing.hsm.keyIndex, signing.hsm.profile, signing.hsm.pin], [7, "sansec", undefined]);
    assert.deepEqual(storageSecurity, { enable: true, keyCenterUrl: "127.0.0.1:8150", cipherDataKey: "ed157f" });
    assert.deepEqual(strongroom, { some_setting: "x" });
    assert.ok(unused.includes("txpool.limit"));
  });

  it("takes variables for a library that finds its configuration by them", () => {
    using files = new NodeFiles();
    files.change("config.ini", "enable_hsm=false", "enable_hsm=true\nkey_index=7");
    files.change("config.ini", "[consensus]", "[hsm_environment]\nVENDOR_CONFIG=/etc/vendor.conf\n[consensus]");
    const { signing } = files.read();
    assert.ok(signing.kind === "hsm");
    assert.deepEqual(signing.hsm.environment, { VENDOR_CONFIG: "/etc/vendor.conf" });
  });

  for (const [what, lines, message] of [
    ["by which the loader takes other code", "LD_PRELOAD=/tmp/x.so", /\[hsm_environment\] LD_PRELOAD is no variable/],
    ["by which OpenSSL does", "OPENSSL_CONF=/tmp/x", /\[hsm_environment\] OPENSSL_CONF is no variable/],
    ["with a name in small letters", "vendor=x", /\[hsm_environment\] vendor is no variable/],
    ["that is too long", `VENDOR=${"x".repeat(1025)}`, /VENDOR has more than 1024 characters/],
    [
      "that is one too many",
      Array.from({ length: 17 }, (_, number) => `V${number}=x`).join("\n"),
      /V16 is one too many: at most 16/,
    ],
  ] as const)
    it(`gives a library no variable ${what}`, () => {
      using files = new NodeFiles();
      files.change("config.ini", "enable_hsm=false", "enable_hsm=true\nkey_index=7");
      files.change("config.ini", "[consensus]", `[hsm_environment]\n${lines}\n[consensus]`);
      assert.throws(() => files.read(), { code: "CONFIG_INVALID", message });
    });

  for (const [where, elsewhere] of [
    ["in a file", "kms_type=LEGACY"],
    ["in a KMS", kms()],
  ] as const)
    it(`takes no variables for a machine's library when the key is ${where}`, () => {
      using files = new NodeFiles();
      files.change("config.ini", "enable_hsm=false", elsewhere);
      files.change("config.ini", "[consensus]", "[hsm_environment]\nVENDOR_CONFIG=/etc/vendor.conf\n[consensus]");
      assert.throws(() => files.read(), { code: "CONFIG_INVALID", message: /\[hsm_environment\] VENDOR_CONFIG is/ });
    });

  it("takes a key that signs inside a KMS, without reading its secret", () => {
    using files = new NodeFiles();
    files.change("config.ini", "enable_hsm=false", kms());
    const { signing } = files.read();
    assert.deepEqual(signing, {
      kind: "kms",
      kms: {
        region: "eu-west-1",
        accessKeyId: "AKIAEXAMPLE123456789",
        secretFile: files.at("conf/kms_secret"),
        url: "https://kms.example:8444",
        caFile: files.at("conf/kms_ca.crt"),
        key: "alias/node0",
      },
      publicKeyPath: files.at("conf/node.pem"),
    });
    files.change("config.ini", /kms_url=.*\nkms_ca_file=.*\n/, "");
    assert.ok(files.read().signing.kind === "kms");
  });

  for (const [what, from, to, message] of [
    ["no region", /kms_region=.*\n/, "", /\[security\] kms_region is missing/],
    ["no key", /kms_key=.*\n/, "", /\[security\] kms_key is missing/],
    ["an empty key", /kms_key=.*/, "kms_key=", /\[security\] kms_key is missing/],
    ["no access key id", /kms_access_key_id=.*\n/, "", /kms_access_key_id is missing/],
    ["no secret file", /kms_secret_file=.*\n/, "", /kms_secret_file is missing/],
    ["the secret itself", "kms_secret_file", "kms_secret", /no key kms_secret/],
    ["plain http beyond loopback", "https:", "http:", /\[security\] kms_url is not https/],
    ["a URL with a path", "8444", "8444/kms", /\[security\] kms_url is not https:\/\/HOST/],
    ["a URL with a password", "https://", "https://a:b@", /kms_url is not/],
    ["a region that is none", "eu-west-1", "EU WEST", /\[security\] kms_region is not lower-case/],
    ["a key's name that is none", "alias/node0", "node 0", /\[security\] kms_key is not a key id/],
    ["an access key id that is none", "AKIAEXAMPLE123456789", "AKIA", /\[security\] kms_access_key_id is not 16/],
    ["a cipher machine beside it", "kms_type=AWS", "kms_type=AWS\nenable_hsm=true", /enable_hsm is true, but/],
    ["a key index beside it", "kms_type=AWS", "kms_type=AWS\nkey_index=1", /key_index is of a cipher machine/],
    ["a PIN beside it", "kms_type=AWS", "kms_type=AWS\npassword=hunter2", /password is of a cipher machine/],
    ["a PIN's file beside it", "kms_type=AWS", "kms_type=AWS\npassword_file=x", /password_file is of a cipher machine/],
    ["its settings without its type", "kms_type=AWS\n", "", /kms_url is there, but kms_type is not AWS/],
    ["its settings with a cipher machine", "kms_type=AWS", "kms_type=HSM\nkey_index=1", /kms_type is not AWS/],
    ["FISCO BCOS's connection string", "kms_type=AWS", "kms_type=AWS\nkms_connection_str=a:b:c", /no key kms_conn/],
  ] as const)
    it(`refuses a KMS with ${what}`, () => {
      using files = new NodeFiles();
      files.change("config.ini", "enable_hsm=false", kms());
      files.change("config.ini", from, to);
      assert.throws(() => files.read(), { code: "CONFIG_INVALID", message });
      assert.throws(
        () => files.read(),
        (error: Error) => !error.message.includes("hunter2"),
      );
    });

  const refusals: readonly (readonly [string, string | RegExp, string, RegExp])[] = [
    ["an unknown section", "[consensus]", "[nonsense]\n[consensus]", /no section \[nonsense\] is known/],
    ["an unknown key", "enable_hsm=false", "enable_hms=false", /\[security\] has no key enable_hms/],
    [
      "a revoked certificate list that it does not keep",
      "[consensus]",
      "[certificate_blacklist]\ncrl.0=00\n[consensus]",
      /certificate_blacklist/,
    ],
    ["SM TLS", "sm_ssl=false", "sm_ssl=true", /\[p2p\] sm_ssl must be false/],
    ["TLS on the RPC", "disable_ssl=true", "disable_ssl=false", /disable_ssl must be true/],
    ["Ethereum's RPC", "[consensus]", "[web3_rpc]\nenable=true\n[consensus]", /web3_rpc/],
    ["no port", "listen_port=30300", "", /listen_port is missing/],
    ["port 0", "listen_port=30300", "listen_port=0", /whole number from 1 to 65535/],
    ["a port that is no number", "listen_port=30300", "listen_port=30300x", /whole number/],
    ["a flag that is none", "enable_hsm=false", "enable_hsm=yes", /true or false/],
    ["a cipher machine without an index", "enable_hsm=false", "enable_hsm=true", /key_index is missing/],
    ["index 0", "enable_hsm=false", "enable_hsm=true\nkey_index=0", /whole number from 1/],
    ["two different indices", "enable_hsm=false", "enable_hsm=true\nkey_index=1\nkey_id=2", /another index/],
    [
      "two places of the PIN",
      "enable_hsm=false",
      "enable_hsm=true\nkey_index=1\npassword=1\npassword_file=x",
      /one of them/,
    ],
    ["a PIN without a cipher machine", "enable_hsm=false", "password=1", /enable_hsm is not true/],
    [
      "a library by a relative path",
      "enable_hsm=false",
      "enable_hsm=true\nkey_index=1\nhsm_lib_path=a/b.so",
      /absolute path/,
    ],
    ["a cloud KMS", "enable_hsm=false", "kms_type=CLOUDKMS", /LEGACY, HSM or AWS/],
    ["encryption without a key", "enable=false", "enable=true", /needs key_center_url/],
    ["a key manager's address with a scheme", "enable=false", "enable=true\nkey_center_url=http://a:1", /IP:PORT/],
    ["a data key that is not hexadecimal", "enable=false", "cipher_data_key=xyz", /hexadecimal/],
    ["an unknown log level", "level=info", "level=loud", /takes fatal/],
  ];
  for (const [what, from, to, message] of refusals)
    it(`is refused with ${what}`, () => {
      using files = new NodeFiles();
      files.change("config.ini", from, to);
      assert.throws(() => files.read(), { name: "ChainBuildError", code: "CONFIG_INVALID", message });
    });

  it("never shows a PIN in a refusal", () => {
    using files = new NodeFiles();
    files.change("config.ini", "enable_hsm=false", "enable_hsm=true\nkey_index=1\npassword=hunter2\npassword_file=x");
    assert.throws(
      () => files.read(),
      (error) => error instanceof Error && !JSON.stringify([error.message, error.stack]).includes("hunter2"),
    );
  });
});

describe("a chain's genesis", () => {
  const refusals: readonly (readonly [string, string | RegExp, string, RegExp])[] = [
    ["a node twice", /node\.1=[0-9a-f]{128}/, "node.1=$SAME", /is the id of another node/],
    ["a gap in the numbers", "node.2=", "node.7=", /node\.2 is missing/],
    ["an id that is not on the curve", /node\.1=[0-9a-f]{128}/, `node.1=${"11".repeat(64)}`, /not a public key on SM2/],
    ["an id that is cut", /node\.1=[0-9a-f]{2}/, "node.1=", /takes NODEID:WEIGHT/],
    ["weight 0", /(node\.1=[0-9a-f]{128}): 1/, "$1: 0", /takes NODEID:WEIGHT/],
    ["no nodes", /node\.\d=.*\n/g, "", /1 to 100 nodes, here are 0/],
    ["another consensus", "consensus_type=pbft", "consensus_type=raft", /takes pbft/],
    ["a chain id that is no name", "chain_id=chain0", "chain_id=a b", /1 to 64 letters/],
    ["an unknown key", "leader_period=1", "leader_perod=1", /has no key leader_perod/],
  ];
  for (const [what, from, to, message] of refusals)
    it(`is refused with ${what}`, () => {
      using files = new NodeFiles();
      const first = /node\.0=([0-9a-f]+)/.exec(readFileSync(files.at("config.genesis"), "utf8"))?.[1] ?? "";
      files.change("config.genesis", from, to.replace("$SAME", first.toUpperCase()));
      assert.throws(() => files.read(), { name: "ChainBuildError", code: "CONFIG_INVALID", message });
    });

  it("is refused when it is missing", () => {
    using files = new NodeFiles();
    assert.throws(() => readChainNodeConfig(files.at("conf/config.ini")), { code: "FILE_UNUSABLE" });
  });
});

describe("nodes.json", () => {
  for (const text of [
    "",
    "{}",
    "[]",
    '{"nodes":1}',
    '{"nodes":["127.0.0.1"]}',
    '{"nodes":["127.0.0.1:0"]}',
    '{"nodes":["127.0.0.1:65536"]}',
    '{"nodes":[1]}',
    '{"nodes":[],"x":1}',
  ])
    it(`is refused as ${text === "" ? "nothing" : text}`, () => {
      using files = new NodeFiles();
      writeFileSync(files.at("nodes.json"), text);
      assert.throws(() => files.read(), { code: "CONFIG_INVALID", message: /nodes\.json/ });
    });

  it("may name hosts, and IPv6 addresses in brackets", () => {
    using files = new NodeFiles();
    writeFileSync(files.at("nodes.json"), '{"nodes":["node.example:1","[::1]:2"]}');
    assert.deepEqual(files.read().p2p.nodes, [
      { host: "node.example", port: 1 },
      { host: "::1", port: 2 },
    ]);
  });
});
