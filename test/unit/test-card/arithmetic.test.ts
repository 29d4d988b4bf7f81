import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { describe, it } from "node:test";
import { buildSdfCard, sdfCardMissing } from "../../sdf-card/build.ts";
import { loadVectors } from "../crypto/load-vectors.ts";

interface SignCase {
  id: string;
  px: string;
  py: string;
  e: string;
  r: string;
  s: string;
  result: string;
  userId?: string;
  z?: string;
  d?: string;
  k?: string;
}
interface EncryptCase {
  id: string;
  d: string;
  px: string;
  py: string;
  c1x: string;
  c1y: string;
  c2: string;
  c3: string;
  result: string;
  msg?: string;
  k?: string;
}
type Exchange = Readonly<Record<string, string>>;

const vectors = loadVectors<{ sm2_sign: SignCase[]; sm2_encrypt: EncryptCase[] }>("sm.json");
const exchanges = loadVectors<{ key_exchange: Exchange[] }>("sm2-key-exchange.json").key_exchange;
const selftest = (...args: (string | undefined)[]): string =>
  execFileSync(
    buildSdfCard().selftest,
    args.map((word) => word ?? ""),
    { encoding: "utf8" },
  ).trim();

describe("the test card's SM2 arithmetic", { skip: sdfCardMissing() }, () => {
  for (const c of vectors.sm2_sign)
    it(`${c.result === "valid" ? "accepts" : "refuses"} the signature ${c.id}`, () => {
      assert.equal(selftest("verify", c.px + c.py, c.e, c.r + c.s), c.result === "valid" ? "" : "refused");
    });

  for (const c of vectors.sm2_sign.filter(({ d, k }) => d !== undefined && k !== undefined))
    it(`makes the signature ${c.id} of its k, and its public key and Z`, () => {
      assert.equal(selftest("sign", c.d, c.e, c.k), c.r + c.s);
      assert.equal(selftest("public", c.d), c.px + c.py);
      assert.equal(selftest("z", c.px + c.py, c.userId), c.z);
    });

  for (const c of vectors.sm2_encrypt)
    it(`${c.result === "valid" ? "opens" : "refuses"} the ciphertext ${c.id}`, () => {
      const opened = selftest("decrypt", c.d, c.c1x + c.c1y, c.c3, c.c2);
      assert.equal(opened, c.result === "valid" ? c.msg : "refused");
    });

  for (const c of vectors.sm2_encrypt.filter(({ k }) => k !== undefined))
    it(`makes the ciphertext ${c.id} of its k`, () => {
      assert.equal(selftest("encrypt", c.px + c.py, c.k, c.msg), c.c1x + c.c1y + c.c3 + c.c2);
    });

  for (const c of exchanges)
    it(`agrees on the key of ${c.id} from both sides`, () => {
      const sponsor = [`${c.pAx}${c.pAy}`, `${c.RAx}${c.RAy}`, c.idA];
      const responder = [`${c.pBx}${c.pBy}`, `${c.RBx}${c.RBy}`, c.idB];
      const keyBytes = String(Number(c.klenBits) / 8);
      assert.equal(selftest("exchange", "sponsor", c.dA, c.rA, ...sponsor, ...responder, keyBytes), c.K);
      assert.equal(selftest("exchange", "responder", c.dB, c.rB, ...responder, ...sponsor, keyBytes), c.K);
    });

  it("refuses a private key of 0, of n - 1 and of n", () => {
    const order = 0xfffffffeffffffffffffffffffffffff7203df6b21c6052b53bbf40939d54123n;
    for (const d of [0n, order - 1n, order])
      assert.equal(selftest("public", d.toString(16).padStart(64, "0")), "refused");
  });
});
