import { readFileSync } from "node:fs";
import { join } from "node:path";

/** The flags under which bin/strongroom runs Node: what is measured runs as what is installed. */
export function productFlags(): readonly string[] {
  const script = readFileSync(join(import.meta.dirname, "../bin/strongroom"), "utf8");
  const [, flags] = /^young='([^']+)'$/m.exec(script) ?? [];
  if (flags === undefined) throw new Error("bin/strongroom names no flags");
  return flags.split(" ");
}

/** The environment in which bin/strongroom runs Node: compiled code is kept, so that only the first start compiles. */
export function productEnvironment(): NodeJS.ProcessEnv {
  return { NODE_COMPILE_CACHE: join(import.meta.dirname, "../node_modules/.cache/strongroom"), ...process.env };
}
