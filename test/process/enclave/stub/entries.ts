import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { World } from "../../../unit/enclave/process/world.ts";
import type { TestEnclaveSettings } from "./test-enclave.ts";

const module = new URL("./test-enclave.ts", import.meta.url).href;
let written = 0;

/**
 * Writes the program of an enclave for tests: enclaves see nothing of the environment, so what tests want of one stands in its code.
 *
 * @param platform - An organisation's simulated one. Left out: the one that the stub names.
 */
export function testEntry(world: World, platform?: string, more: Partial<TestEnclaveSettings> = {}): URL {
  const named = platform === undefined ? {} : { platform: world.platform(platform) };
  const settings: TestEnclaveSettings = { ...named, code: world.code(), ...more };
  written += 1;
  const file = join(world.folder, `enclave-${written}.ts`);
  // Many are started, all of the same modules.
  const lines = [
    'import { enableCompileCache } from "node:module";',
    `enableCompileCache(${JSON.stringify(join(world.folder, "compiled"))});`,
    `const { serveTestEnclave } = await import(${JSON.stringify(module)});`,
    `await serveTestEnclave(${JSON.stringify(settings)});`,
  ];
  writeFileSync(file, lines.join("\n"));
  return pathToFileURL(file);
}

/** An enclave whose backend fails by a mistake, with an error that quotes what it was given. */
export function brokenEntry(world: World): URL {
  const serve = new URL("../../../../src/enclave/process/serve.ts", import.meta.url).href;
  const file = join(world.folder, "broken-enclave.ts");
  const lines = [
    `import { serveEnclave } from ${JSON.stringify(serve)};`,
    "await serveEnclave({ openBackend: async (settings) => { throw new TypeError('cannot use ' + settings); } });",
  ];
  writeFileSync(file, lines.join("\n"));
  return pathToFileURL(file);
}
