/** What the asymmetric operations cost by themselves, and HPKE in place of RSA-OAEP. */
import { constants, generateKeyPairSync, privateDecrypt, publicEncrypt, randomBytes } from "node:crypto";
import { Aes256Gcm, CipherSuite, DhkemP256HkdfSha256, HkdfSha256 } from "@hpke/core";

/** Processor time of one operation in milliseconds, the median over `rounds`. */
async function median(rounds: number, run: () => unknown): Promise<number> {
  const times: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const before = process.cpuUsage();
    await run();
    const { user, system } = process.cpuUsage(before);
    times.push((user + system) / 1000);
  }
  return times.sort((a, b) => a - b)[Math.floor(rounds / 2)] ?? 0;
}

export async function measurePrimitives(rounds: number): Promise<Readonly<Record<string, number>>> {
  const rsa = () => generateKeyPairSync("rsa", { modulusLength: 3072, publicExponent: 0x10001 });
  const { publicKey, privateKey } = rsa();
  const padding = { padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: "sha256" };
  const key = randomBytes(32);
  const wrapped = publicEncrypt({ key: publicKey, ...padding }, key);
  const suite = new CipherSuite({ kem: new DhkemP256HkdfSha256(), kdf: new HkdfSha256(), aead: new Aes256Gcm() });
  const receiver = await suite.kem.generateKeyPair();
  const text = new Uint8Array(key).buffer;
  const sealed = await suite.seal({ recipientPublicKey: receiver.publicKey }, text);
  return {
    "RSA-3072 key generation": await median(rounds, rsa),
    "RSA-OAEP encrypt": await median(20 * rounds, () => publicEncrypt({ key: publicKey, ...padding }, key)),
    "RSA-OAEP decrypt": await median(20 * rounds, () => privateDecrypt({ key: privateKey, ...padding }, wrapped)),
    "HPKE (P-256) key generation": await median(20 * rounds, () => suite.kem.generateKeyPair()),
    "HPKE (P-256) seal": await median(20 * rounds, () => suite.seal({ recipientPublicKey: receiver.publicKey }, text)),
    "HPKE (P-256) open": await median(20 * rounds, () =>
      suite.open({ recipientKey: receiver.privateKey, enc: sealed.enc }, sealed.ct),
    ),
  };
}
