/**
 * Compares two empty folders by a random sequence of operations:
 *
 *   node test/sealfs/compare/run.ts BELIEVED TESTED [--seed N] [--operations N]
 *
 * Prints how often each operation gave what. Exit code 1 at the first difference.
 */
import { parseArgs } from "node:util";
import { compareFolders } from "./compare-folders.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { seed: { type: "string", default: "1" }, operations: { type: "string", default: "5000" } },
});
const [believed = "", tested = ""] = positionals;
try {
  const outcomes = await compareFolders(believed, tested, {
    seed: Number(values.seed),
    operations: Number(values.operations),
  });
  for (const [outcome, count] of [...outcomes].sort()) console.log(`${count} ${outcome}`);
} catch (error) {
  console.log(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
