import assert from "node:assert/strict";
import { cpSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { findSecretLeaks } from "../../../script/check-secrets.ts";

const repository = join(import.meta.dirname, "../../..");
const folder = realpathSync(mkdtempSync(join(tmpdir(), "strongroom-check-secrets-")));
after(() => rmSync(folder, { recursive: true }));

/** What the check says about a file with these lines, in a project with the real SecretBuffer. */
function leaksIn(lines: readonly string[]): readonly string[] {
  const head = [
    'import { SecretBuffer } from "./secret-buffer.ts";',
    'import { inspect } from "node:util";',
    "declare const log: { info(...what: unknown[]): void };",
    "class Refusal extends Error { constructor(message: string, facts?: unknown) { super(message); void facts; } }",
    "interface Held { readonly plaintext: SecretBuffer; readonly name: string }",
    "function open(): SecretBuffer { return SecretBuffer.random(32); }",
    "declare function seal(bytes: Uint8Array): Buffer;",
    "export function run(key: SecretBuffer, held: Held, maybe: SecretBuffer | undefined, many: readonly SecretBuffer[]): unknown {",
    "void [log, Refusal, inspect, open, seal, key, held, maybe, many];",
  ];
  mkdirSync(join(folder, "src/crypto"), { recursive: true });
  cpSync(join(repository, "src/crypto/secret-buffer.ts"), join(folder, "src/crypto/secret-buffer.ts"));
  const compilerOptions = { typeRoots: [join(repository, "node_modules/@types")] };
  const config = { extends: join(repository, "tsconfig.json"), include: ["src"], compilerOptions };
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(config));
  writeFileSync(join(folder, "src/crypto/fixture.ts"), [...head, ...lines, "}"].join("\n"));
  return findSecretLeaks(folder).map(({ file, line, what }) => `${file}:${line - head.length}: ${what}`);
}

describe("the check that no secret is printed or formatted", () => {
  it("finds every kind, with its line", () => {
    const offending = [
      `\`\${key}\`;`,
      '"key " + key;',
      'key + "";',
      "console.log(key);",
      'console.error("failed", { key });',
      "process.stdout.write(String(held.plaintext));",
      "JSON.stringify(maybe);",
      "String(open());",
      "inspect(many);",
      'log.info("opened", held.plaintext);',
      'new Error("bad", { cause: key });',
      'new Refusal("bad", [key]);',
      "key.toString();",
      'key.expose((bytes) => bytes.toString("hex"));',
      `key.expose((bytes) => \`\${bytes}\`);`,
      "maybe?.expose((bytes) => console.log(bytes));",
      "key.expose((bytes) => new TextDecoder().decode(bytes));",
      "key.expose((bytes) => bytes.subarray(1).toHex());",
      'key.expose((bytes) => Buffer.from(bytes)).toString("hex");',
      'function show(bytes: Buffer) { return bytes.toString("latin1"); }',
      `using other = open(); throw new Refusal(\`no \${other}\`);`,
    ];
    const lines = [...offending.slice(0, 20), "key.expose(show);", offending[20] ?? ""];
    const found = leaksIn(lines).map((leak) => Number(leak.split(":")[1]));
    // `show` is reported where it turns bytes into text, its use on the next line is what makes it an offence.
    const expected = [...offending.keys()].map((index) => (index < 20 ? index + 1 : index + 2));
    assert.deepEqual(
      [...new Set(found)].sort((a, b) => a - b),
      expected,
    );
  });

  it("lets lengths, ciphertexts, names and comparisons pass", () => {
    const clean = [
      `\`\${key.byteLength} bytes of \${held.name}\`;`,
      'console.log("opened", held.name, key.disposed);',
      'new Refusal("bad", { bytes: key.byteLength });',
      'key.expose((bytes) => seal(bytes)).toString("hex");',
      "key.equals(held.plaintext);",
      "key.expose((bytes) => SecretBuffer.take(Buffer.from(bytes)));",
      'Buffer.alloc(3).toString("hex");',
    ];
    assert.deepEqual(leaksIn(clean), []);
  });

  it("excuses a line that gives its reason, and reports a reason with nothing to excuse", () => {
    const found = leaksIn([
      'key.expose((bytes) => bytes.toString("hex")); // exposes-secret: shown once, on the operator\'s terminal',
      'key.expose((bytes) => bytes.toString("hex")); // exposes-secret:',
      "key.clone(); // exposes-secret: no reason at all",
    ]);
    assert.deepEqual(found, [
      "src/crypto/fixture.ts:2: exposed bytes turned into text by toString",
      "src/crypto/fixture.ts:3: a reason with nothing to excuse",
    ]);
  });
});
