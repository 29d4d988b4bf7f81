import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";
import { loadSm4Addon, type Sm4Addon } from "../../../../src/crypto/sm4/addon.ts";

/** What the test builds of the addon export besides: see native/sm4/test-instructions.c. */
export interface InstructionTester {
  /** Runs one instruction over the registers `x` and `y`; `x` holds the result. */
  instruction(name: string, x: Uint8Array, y: Uint8Array): void;
}

/** Why the addon can't be compiled here, or false. */
export const noCompiler: string | false =
  process.platform === "linux" && spawnSync("gcc", ["--version"]).status === 0 ? false : "there is no gcc here";

const script = join(import.meta.dirname, "../../../../native/sm4/build.sh");

/** Compiles the addon as `script/setup` does, where that has not been done, and loads it. */
export function productAddon(): Sm4Addon {
  const result = spawnSync(script, { encoding: "utf8" });
  if (result.status !== 0) throw new Error(`build.sh failed: ${result.stderr}`);
  return loadSm4Addon();
}

/**
 * Compiles the addon for tests into a temporary folder: with the processor's instructions, or with emulated ones.
 *
 * @param options - More options of gcc, which win over those of build.sh.
 */
export function testAddon(
  instructions: "real" | "emulated",
  ...moreOptions: readonly string[]
): Sm4Addon & InstructionTester {
  const folder = mkdtempSync(join(tmpdir(), "sm4-addon-"));
  after(() => rmSync(folder, { recursive: true }));
  const output = join(folder, `${instructions}.node`);
  const options = ["-DSM4_TEST_INSTRUCTIONS", "-Werror", ...moreOptions];
  if (instructions === "emulated") options.push("-DSM4_EMULATED_INSTRUCTIONS");
  const result = spawnSync(script, [output, ...options], { encoding: "utf8" });
  if (result.status !== 0) throw new Error(`build.sh failed: ${result.stderr}`);
  return createRequire(import.meta.url)(output);
}
