import "reflect-metadata";
import assert from "node:assert/strict";
import { createPublicKey, generateKeyPairSync, type KeyObject, webcrypto, X509Certificate } from "node:crypto";
import { describe, it } from "node:test";
import * as x509 from "@peculiar/x509";
import { Membership, serializeIdentity } from "../../../../src/enclave/ledger/membership.ts";

const crypto = webcrypto as unknown as Crypto;
const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
const { keyCertSign, cRLSign, digitalSignature } = x509.KeyUsageFlags;
const ca = (pathLength?: number) => new x509.BasicConstraintsExtension(true, pathLength, true);
const usage = (flags: number) => new x509.KeyUsagesExtension(flags, true);
const end = new x509.BasicConstraintsExtension(false, undefined, true);
const years = (count: number) => new Date(Date.UTC(2030 + count, 0));

interface Issued {
  readonly pem: string;
  readonly name: string;
  readonly key: KeyObject;
}
interface Input {
  readonly name?: string;
  readonly by?: Issued;
  readonly issuerName?: string;
  readonly key?: KeyObject;
  readonly extensions?: readonly x509.Extension[];
  readonly notBefore?: Date;
  readonly notAfter?: Date;
  readonly hash?: string;
}

async function issue(input: Input = {}): Promise<Issued> {
  const { name = "OU=peer, CN=someone", by, extensions = [end, usage(digitalSignature)] } = input;
  const key = input.key ?? generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;
  const signingAlgorithm = { ...algorithm, hash: input.hash ?? "SHA-256" };
  const certificate = await x509.X509CertificateGenerator.create(
    {
      subject: name,
      issuer: input.issuerName ?? by?.name ?? name,
      publicKey: createPublicKey(key).toCryptoKey(algorithm, true, ["verify"]),
      signingKey: (by?.key ?? key).toCryptoKey(algorithm, false, ["sign"]),
      signingAlgorithm,
      notBefore: input.notBefore ?? years(1),
      notAfter: input.notAfter ?? years(5),
      extensions: [...extensions],
    },
    crypto,
  );
  return { pem: certificate.toString("pem"), name, key };
}
const authority = (name: string, input: Input = {}) =>
  issue({ name, extensions: [ca(), usage(keyCertSign | cRLSign)], notBefore: years(0), notAfter: years(10), ...input });

const root = await authority("CN=root");
const intermediate = await authority("CN=intermediate", { by: root });
const lower = await authority("CN=lower", { by: intermediate });

interface Authorities {
  readonly roots: readonly Issued[];
  readonly intermediates?: readonly Issued[];
}
const alone = { roots: [root] };

/** What is found of a certificate: a member, a stranger, or a doubt. */
function standing(member: Issued, { roots, intermediates = [] }: Authorities = alone): string {
  const pems = (of: readonly Issued[]) => of.map(({ pem }) => pem);
  const organisation = { mspId: "Org1MSP", roots: pems(roots), intermediates: pems(intermediates) };
  const membership = new Membership([organisation], "fabric");
  const serialized = serializeIdentity({ mspId: "Org1MSP", certificate: member.pem });
  const found = membership.judge(serialized);
  const isMember = found !== undefined && found.doubt === undefined;
  assert.equal(membership.identify(serialized) !== undefined, isMember);
  return found === undefined ? "a stranger" : (found.doubt ?? "a member");
}

describe("a certificate in a transaction, to Fabric's peers", () => {
  it("is a member's by an authority that signed it, whatever its key identifiers are", async () => {
    assert.equal(standing(await issue({ by: root })), "a member");
    const identifiers = [
      new x509.AuthorityKeyIdentifierExtension("00".repeat(20)),
      new x509.SubjectKeyIdentifierExtension("11".repeat(20)),
    ];
    const other = await issue({ by: root, extensions: [end, ...identifiers] });
    assert.equal(standing(other), "a member");
    assert.equal(new X509Certificate(other.pem).checkIssued(new X509Certificate(root.pem)), true);
    const named = await authority("CN=named", {
      extensions: [ca(), usage(keyCertSign), new x509.SubjectKeyIdentifierExtension("22".repeat(20))],
    });
    const member = await issue({ by: named, extensions: [end, ...identifiers] });
    assert.equal(new X509Certificate(member.pem).checkIssued(new X509Certificate(named.pem)), false);
    assert.equal(standing(member, { roots: [named] }), "a member");
  });

  it("is a member's without any extension, over SHA-384 too", async () => {
    assert.equal(standing(await issue({ by: root, extensions: [] })), "a member");
    assert.equal(standing(await issue({ by: root, hash: "SHA-384" })), "a member");
  });

  it("is a member's by the last of the intermediate authorities, and nobody's by one that has others under it", async () => {
    const tree = { roots: [root], intermediates: [intermediate, lower] };
    assert.equal(standing(await issue({ by: lower }), tree), "a member");
    assert.equal(standing(await issue({ by: intermediate }), tree), "a stranger");
    assert.equal(standing(await issue({ by: root }), tree), "a stranger");
    const two = { roots: [root], intermediates: [intermediate] };
    assert.equal(standing(await issue({ by: intermediate }), two), "a member");
    assert.equal(standing(await issue({ by: root }), two), "a stranger");
  });

  it("is nobody's if no authority signed it, or it is an authority's itself, whatever its key is for", async () => {
    assert.equal(standing(await issue({ by: await authority("CN=root") })), "a stranger");
    assert.equal(standing(await issue({ by: lower })), "a stranger");
    assert.equal(standing(await issue()), "a stranger");
    for (const extensions of [[ca()], [ca(), usage(digitalSignature)], [ca(0), usage(keyCertSign)]])
      assert.equal(standing(await issue({ by: root, extensions })), "a stranger");
  });

  it("is nobody's without exactly one role", async () => {
    for (const name of ["CN=someone", "OU=peer, OU=client, CN=a", "OU=peer, OU=peer, CN=a", "OU=Peer, CN=a"])
      assert.equal(standing(await issue({ by: root, name })), "a stranger", name);
    assert.equal(standing(await issue({ by: root, name: "OU=peer, OU=sales, CN=a" })), "a member");
  });

  const keyUsage = (use: string) => new x509.ExtendedKeyUsageExtension([use]);
  for (const [what, member, doubt] of [
    ["is by an issuer of another name", { issuerName: "CN=other" }, /another name/],
    ["begins before its authority", { notBefore: years(-1) }, /begins when/],
    ["begins after its authority has ended", { notBefore: years(11), notAfter: years(12) }, /begins when/],
    ["ends before it begins", { notBefore: years(2), notAfter: years(1) }, /begins when/],
    ["is for other uses", { extensions: [end, keyUsage("1.3.6.1.5.5.7.3.2")] }, /other uses/],
    [
      "has a critical extension",
      { extensions: [end, new x509.Extension("1.2.3.4", true, Buffer.of(5, 0))] },
      /extension/,
    ],
  ] as const satisfies readonly (readonly [string, Input, RegExp])[])
    it(`is in doubt where it ${what}`, async () => {
      assert.match(standing(await issue({ by: root, ...member })), doubt);
    });

  it("is not in doubt for uses or extensions that Go takes", async () => {
    for (const extensions of [
      [end, keyUsage("1.3.6.1.5.5.7.3.1")],
      [end, keyUsage("2.5.29.37.0")],
      [end, new x509.Extension("1.2.3.4", false, Buffer.of(5, 0))],
    ])
      assert.equal(standing(await issue({ by: root, extensions })), "a member");
  });

  for (const [what, extensions, doubt] of [
    ["does not say that it is one", [], /may sign/],
    ["says that it is none", [end], /may sign/],
    ["has a key for other ends", [ca(), usage(digitalSignature)], /may sign/],
    ["is for other names alone", [ca(), new x509.Extension("2.5.29.30", true, Buffer.of(0x30, 0))], /extension/],
  ] as const)
    it(`is in doubt where its authority ${what}`, async () => {
      const odd = await authority("CN=odd", { extensions });
      assert.match(standing(await issue({ by: odd }), { roots: [odd] }), doubt);
    });

  it("is in doubt where more than one authority has signed it, or a path is too long", async () => {
    const again = await authority("CN=root", { key: root.key });
    const member = await issue({ by: root });
    assert.match(standing(member, { roots: [root, again] }), /several/);
    assert.equal(standing(member, { roots: [root, root] }), "a member");
    const near = await authority("CN=near", { extensions: [ca(0), usage(keyCertSign)] });
    const far = await authority("CN=far", { by: near });
    assert.equal(standing(await issue({ by: near }), { roots: [near] }), "a member");
    assert.match(standing(await issue({ by: far }), { roots: [near], intermediates: [far] }), /too far/);
  });
});
