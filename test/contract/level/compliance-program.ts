/**
 * Runs abstract-level's whole compliance suite over an encrypted level and prints it as TAP.
 *
 *   node compliance-program.ts intl|sm classic|given-classic|memory
 */
import { mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { EncryptedLevel } from "../../../src/level/encrypted-level.ts";
import { type GivenLevel, SecretBuffer, type SuiteName } from "../../../src/level/index.ts";

const require = createRequire(import.meta.url);
const test: unknown = require("tape");
const suite: (options: object) => void = require("abstract-level/test");
const { ClassicLevel } = require("classic-level");
const { MemoryLevel } = require("memory-level");

const [suiteName, base] = process.argv.slice(2);
const folder = mkdtempSync(join(tmpdir(), "level-compliance-"));
const dataKey = SecretBuffer.random(32);
let count = 0;

const bases: Record<string, () => string | GivenLevel> = {
  classic: () => join(folder, String(count++)),
  "given-classic": () => new ClassicLevel(join(folder, String(count++))),
  memory: () => new MemoryLevel(),
};
const makeBase = bases[base ?? ""];
if (makeBase === undefined) throw new Error(`no base named ${base}`);

suite({
  test,
  factory: (options: object) => new EncryptedLevel(makeBase(), { ...options, dataKey, suite: suiteName as SuiteName }),
});
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
